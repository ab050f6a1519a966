package cli

import (
	"testing"
	"time"
)

// TestZonesWithARule has the zones of systems without a database of them.
func TestZonesWithARule(t *testing.T) {
	t.Parallel()
	summer := time.Date(2026, 7, 1, 12, 0, 0, 0, time.UTC)
	winter := time.Date(2026, 1, 1, 12, 0, 0, 0, time.UTC)
	for _, tc := range []struct{ rule, winter, summer string }{
		{"CET-1CEST,M3.5.0,M10.5.0/3", "13:00 CET", "14:00 CEST"},
		{"EST5EDT,M3.2.0,M11.1.0", "07:00 EST", "08:00 EDT"},
		{"CST-8", "20:00 CST", "20:00 CST"},
		{"<+0530>-5:30", "17:30 +0530", "17:30 +0530"},
		{"AEST-10AEDT,M10.1.0,M4.1.0/3", "23:00 AEDT", "22:00 AEST"},
	} {
		zone, ok := parseZone(tc.rule)
		if !ok {
			t.Errorf("%s is unknown", tc.rule)
			continue
		}
		const layout = "15:04 MST"
		if got := winter.In(zone).Format(layout); got != tc.winter {
			t.Errorf("%s in winter: %s, want %s", tc.rule, got, tc.winter)
		}
		if got := summer.In(zone).Format(layout); got != tc.summer {
			t.Errorf("%s in summer: %s, want %s", tc.rule, got, tc.summer)
		}
	}
	for _, rule := range []string{"", "nonsense", "Atlantis/Capital", "CET-1\nCET-2", "C-1", "CET-999", "CET-1CEST,M99.5.0,M10.5.0"} {
		if zone, ok := parseZone(rule); ok {
			t.Errorf("%q is taken for the zone %v", rule, time.Now().In(zone))
		}
	}
}
