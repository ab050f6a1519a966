package event_test

import (
	"testing"

	"github.com/tcptrace/tcptrace/internal/event"
)

// TestNoSpaceBetweenChinese: the space of a format next to an argument goes if it would be between two Chinese characters.
func TestNoSpaceBetweenChinese(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		format event.Format
		args   []any
		want   string
	}{
		{"{who} 停止", []any{event.Shown("nginx/4")}, "nginx/4 停止"},
		{"{who} 停止", []any{event.Shown("一个进程")}, "一个进程停止"},
		{"停止 {who}", []any{event.Shown("一个进程")}, "停止一个进程"},
		{"停止 {who} 吧", []any{event.Shown("nginx/4")}, "停止 nginx/4 吧"},
		{"{who} [在 {time} 之内]被重置", []any{event.Shown("（来自 10.0.0.2）"), event.Shown("10s")}, "（来自 10.0.0.2）在 10s 之内被重置"},
		{"{who} [在 {time} 之内]被重置", []any{event.Shown("（来自 10.0.0.2）"), event.Shown("")}, "（来自 10.0.0.2）被重置"},
		{"{who} [在 {time} 之内]被重置", []any{event.Shown("10.0.0.2"), event.Shown("")}, "10.0.0.2 被重置"},
		{"{name}：{text}", []any{event.Shown("一 二 "), event.Shown(" 三")}, "一 二 ： 三"},
	} {
		if got := (event.Message{Format: tc.format, Args: tc.args}).In(event.Language{}); got != tc.want {
			t.Errorf("%s: %q, want %q", tc.format, got, tc.want)
		}
	}
}
