package report_test

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/cdproto/log"
	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"

	"github.com/tcptrace/tcptrace/internal/bench/synthetic"
	"github.com/tcptrace/tcptrace/internal/event"
	"github.com/tcptrace/tcptrace/internal/pipeline"
	"github.com/tcptrace/tcptrace/internal/report"
	"github.com/tcptrace/tcptrace/internal/tracetest"
	"github.com/tcptrace/tcptrace/internal/words"
)

// browserPath is where the browser is, or "".
func browserPath() string {
	for _, name := range []string{"chromium", "chromium-browser", "google-chrome"} {
		if path, err := exec.LookPath(name); err == nil {
			return path
		}
	}
	return ""
}

// needBrowser skips a test where there is no browser. Where CI says so it must be there.
func needBrowser(t *testing.T) {
	t.Helper()
	switch {
	case browserPath() != "":
	case os.Getenv("CI") == "true":
		t.Fatal("no chromium: CI must test the page; 'make browser' installs it")
	default:
		t.Skip("no chromium: 'make browser' installs it")
	}
}

// tab is a page that is open in a browser.
type tab struct {
	*testing.T
	ctx      context.Context
	mutex    sync.Mutex
	troubles []string // errors on the console, and requests
}

// browser starts a browser, which all tests share, and returns its context.
var browser = sync.OnceValues(func() (context.Context, error) {
	options := append(chromedp.DefaultExecAllocatorOptions[:], chromedp.ExecPath(browserPath()), chromedp.NoSandbox, chromedp.WindowSize(1280, 900))
	ctx, _ := chromedp.NewExecAllocator(context.Background(), options...)
	ctx, closeBrowser = chromedp.NewContext(ctx)
	return ctx, chromedp.Do(ctx)
})

var closeBrowser = func() {}

func TestMain(m *testing.M) {
	code := m.Run()
	closeBrowser()
	os.Exit(code)
}

// open opens the page of a report.
func open(t *testing.T, r *report.Report) *tab {
	t.Helper()
	path := filepath.Join(t.TempDir(), "report.html")
	var page bytes.Buffer
	if err := r.HTML(&page); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, page.Bytes(), 0o600); err != nil {
		t.Fatal(err)
	}
	return visit(t, "file://"+path)
}

func visit(t *testing.T, url string) *tab {
	t.Helper()
	needBrowser(t)
	ctx, err := browser()
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := chromedp.NewContext(ctx)
	t.Cleanup(cancel)
	b := &tab{T: t, ctx: ctx}
	if err := chromedp.Listen(ctx, func(event any) { b.hear(url, event) }); err != nil {
		t.Fatal(err)
	}
	command(b, network.Enable, network.EnableParams{})
	command(b, log.Enable, cdp.Empty{})
	b.do(chromedp.Navigate(url), chromedp.WaitReady(chromedp.CSS(`html[data-ready]`)))
	return b
}

// hear notes what a page that is quiet does not do.
func (b *tab) hear(url string, event any) {
	url, _, _ = strings.Cut(url, "#")
	b.mutex.Lock()
	defer b.mutex.Unlock()
	switch e := event.(type) {
	case *network.EventRequestWillBeSent:
		if e.Request.URL != url {
			b.troubles = append(b.troubles, "request: "+e.Request.URL)
		}
	case *runtime.EventConsoleAPICalled:
		b.troubles = append(b.troubles, fmt.Sprintf("console: %v", e.Args))
	case *runtime.EventExceptionThrown:
		b.troubles = append(b.troubles, fmt.Sprintf("exception: %+v", e.ExceptionDetails.Exception))
	case *log.EventEntryAdded:
		b.troubles = append(b.troubles, "log: "+e.Entry.Text)
	}
}

func (b *tab) do(steps ...chromedp.Action[chromedp.Void]) {
	b.Helper()
	ctx, cancel := context.WithTimeout(b.ctx, time.Minute)
	defer cancel()
	b.check(chromedp.Do(ctx, steps...))
}

func (b *tab) check(err error) {
	b.Helper()
	if err != nil {
		b.mutex.Lock()
		defer b.mutex.Unlock()
		b.Fatalf("%v; %v", err, b.troubles)
	}
}

func command[P, R any](b *tab, c cdp.Command[P, R], params P) {
	b.Helper()
	_, err := chromedp.Call(b.ctx, c, params)
	b.check(err)
}

// eval returns what a script comes to, as text.
func (b *tab) eval(script string) string {
	b.Helper()
	got, err := chromedp.Run(b.ctx, chromedp.Evaluate[string]("String("+script+")"))
	b.check(err)
	return got
}

// want waits until a script comes to a text.
func (b *tab) want(script, want string) {
	b.Helper()
	got := ""
	for range 100 {
		if got = b.eval(script); got == want {
			return
		}
		time.Sleep(20 * time.Millisecond)
	}
	b.Errorf("%s is %q, want %q", script, got, want)
}

// quiet wants that the page had no errors, and asked for nothing.
func (b *tab) quiet() {
	b.Helper()
	b.mutex.Lock()
	defer b.mutex.Unlock()
	if len(b.troubles) > 0 {
		b.Errorf("the page is not quiet: %s", strings.Join(b.troubles, "\n"))
	}
}

// shot keeps a picture where SHOTS names a directory.
func (b *tab) shot(name string, width int64, dark bool) {
	b.Helper()
	dir := os.Getenv("SHOTS")
	if dir == "" {
		return
	}
	scheme := "light"
	if dark {
		scheme = "dark"
	}
	command(b, emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{
		Features: []*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: scheme}},
	})
	b.do(chromedp.EmulateViewport(width, 900), chromedp.Sleep(300*time.Millisecond))
	picture, err := chromedp.Run(b.ctx, chromedp.FullScreenshot(100))
	b.check(err)
	if err := os.WriteFile(filepath.Join(dir, name+".png"), picture, 0o644); err != nil {
		b.Fatal(err)
	}
}

// What parts of the page show.
const (
	shownRows   = `document.querySelectorAll('#body tr[data-row]').length`
	firstServer = `document.querySelector('#body tr[data-row] td:nth-child(3) span').textContent`
	lastServer  = `[...document.querySelectorAll('#body tr[data-row] td:nth-child(3) span:first-child')].pop().textContent`
	chosenRow   = `document.querySelector('#body tr[aria-selected=true] td:nth-child(3) span')?.textContent`
	ladderName  = `document.getElementById('chosen').textContent.split('. ')[0]`
	rangeShown  = `document.getElementById('range').textContent.match(/\((.*)\)/)[1]`
)

func (b *tab) click(selector string) {
	b.Helper()
	b.do(chromedp.Click(chromedp.CSS(selector)))
}

// search looks for words.
func (b *tab) search(words string) {
	b.Helper()
	b.eval(`(() => { const s = document.getElementById('search'); s.value = ''; s.focus(); return 1; })()`)
	if words == "" {
		b.eval(`document.getElementById('search').dispatchEvent(new Event('input'))`)
		return
	}
	b.do(chromedp.SendKeys(chromedp.CSS("#search"), words))
}

func TestPage(t *testing.T) {
	b := open(t, scripted(t))
	b.want(shownRows, "12")
	b.want(`document.getElementById('count').textContent`, "12 shown (1 closed before the recording, 2 listening)")
	b.shot("scripted-light-1280", 1280, false)
	b.shot("scripted-dark-1280", 1280, true)
	b.shot("scripted-light-390", 390, false)
	b.shot("scripted-dark-390", 390, true)
	b.quiet()
}

// A page of nothing, and one of failed calls alone, work as well.
func TestPagesWithoutConnections(t *testing.T) {
	b := open(t, report.New(time.UTC))
	b.want(`document.getElementById('count').textContent`, "0 shown")
	b.quiet()
	r := report.New(time.UTC)
	tracetest.Send(calls{pipeline.New(r)})
	b = open(t, r)
	b.want(`document.querySelectorAll('.call-mark').length`, "3")
	b.want(`document.querySelectorAll('.call').length`, "3")
	b.click("#zoom-in")
	b.quiet()
}

// calls lets only calls that failed pass.
type calls struct{ *pipeline.Stream }

func (calls) Found(*event.Socket)          {}
func (calls) Transition(*event.Transition) {}

// Dragging moves the timeline.
func TestDrag(t *testing.T) {
	b := open(t, restart(t))
	b.eval(`document.getElementById('timeline').scrollIntoView({block: 'center'})`)
	before := b.eval(`document.getElementById('range').textContent`)
	y, err := strconv.ParseFloat(b.eval(`(r => r.y + 20)(document.getElementById('spans').getBoundingClientRect())`), 64)
	if err != nil {
		t.Fatal(err)
	}
	b.click("#zoom-in")
	zoomed := b.eval(`document.getElementById('range').textContent`)
	b.do(chromedp.DragAndDropXY(800, y, 700, y))
	after := b.eval(`document.getElementById('range').textContent`)
	if before == zoomed || after == zoomed {
		t.Errorf("%s, zoomed %s, moved %s", before, zoomed, after)
	}
	b.quiet()
}

func TestSearch(t *testing.T) {
	b := open(t, scripted(t))
	for _, tc := range []struct{ words, rows string }{
		{":443", "1"}, {"8080", "4"}, {":808", "0"}, {":8080 10.0.0.9", "2"}, {"NGINX", "3"}, {"time_wait", "5"},
		{"no such words", "0"}, {"refused", "1"}, {"日本語", "1"}, {"", "12"},
	} {
		b.search(tc.words)
		b.Log(tc.words)
		b.want(shownRows, tc.rows)
	}
	b.eval(`(() => { const s = document.getElementById('who'); s.value = 'server'; s.dispatchEvent(new Event('change')); })()`)
	b.want(shownRows, "1")
	b.want(firstServer, "172.16.79.132:9091")
	b.want(`document.getElementById('count').textContent`, "1 of 12 shown")
	b.quiet()
}

func TestSort(t *testing.T) {
	b := open(t, scripted(t))
	b.want(shownRows, "12")
	b.click("#columns th:nth-child(3) button")
	b.want(`document.querySelector('#columns th:nth-child(3)').getAttribute('aria-sort')`, "ascending")
	b.want(firstServer, "0.0.0.0:8080")
	last := b.eval(lastServer)
	b.click("#columns th:nth-child(3) button")
	b.want(`document.querySelector('#columns th:nth-child(3)').getAttribute('aria-sort')`, "descending")
	b.want(firstServer, last)
	b.want(lastServer, "0.0.0.0:8080")
	b.quiet()
}

// The curves have axes that a reader can read at any width.
func TestAxes(t *testing.T) {
	b := open(t, scripted(t))
	b.want(`[...document.querySelector('.curve .levels').children].map((l) => l.textContent).join()`, "6 sockets,4,2,0")
	b.want(`[...document.querySelectorAll('.curve .plot')[0].querySelectorAll('text')].map((l) => l.textContent).join()`, "12:00:00,12:00:05,12:00:10")
	b.do(chromedp.EmulateViewport(390, 900))
	b.want(`document.documentElement.scrollWidth`, "390")
	b.want(`(() => {
		const boxes = [...document.querySelectorAll('.curve .plot')[0].querySelectorAll('text')].map((t) => t.getBoundingClientRect());
		return boxes.every((box, n) => box.right <= 390 && (!n || box.left > boxes[n - 1].right));
	})()`, "true")
	b.quiet()
}

// The button of a finding shows all of its connections.
func TestAllEvidence(t *testing.T) {
	r := report.New(time.UTC)
	stream := pipeline.New(r)
	stream.Start(&event.Start{Time: tracetest.When(0)})
	for port := 1; port <= 60; port++ {
		life(stream, port, map[bool][]move{true: refused, false: closed}[port%2 == 1])
	}
	stream.Stop(event.Stop{Time: tracetest.When(time.Hour), Reason: "signal"})
	b := open(t, r)
	b.want(`document.querySelector('.evidence').textContent`, "Show its 30 connections")
	b.click(".evidence")
	b.want(`document.getElementById('count').textContent`, "30 of 60 shown")
	b.quiet()
}

// On paper everything is there that a reader could scroll to or open on a screen, and no control is.
func TestPrint(t *testing.T) {
	r := report.New(time.UTC)
	synthetic.Make(300, r)
	b := open(t, r)
	folded := b.eval(`document.querySelectorAll('details:not([open])').length`)
	command(b, emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{Media: "print"})
	b.do(chromedp.EmulateViewport(720, 900))
	b.want(shownRows, "200")
	b.want(`document.querySelectorAll('#spans .row-back').length`, "24")
	b.want(`document.getElementById('printed').innerText.trim()`, "Timeline: 24 of 300 connections are printed. Table: 200 of 300 connections are printed.")
	b.want(`document.querySelectorAll('details:not([open])').length`, "0")
	b.want(`[...document.querySelectorAll('button, input, select, textarea')].filter((e) => e.offsetHeight && !e.closest('th')).length`, "0")
	b.want(`[...document.querySelectorAll('.rows, .table, .wide')].filter((e) => e.scrollHeight > e.clientHeight + 1 || e.scrollWidth > e.clientWidth + 1).length`, "0")
	b.want(`document.documentElement.scrollWidth`, "720")
	command(b, emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{Media: "screen"})
	b.want(`document.querySelectorAll('details:not([open])').length`, folded)
	b.want(`Number(`+shownRows+`) < 60`, "true")
	b.want(`document.getElementById('printed').offsetHeight`, "0")
	b.quiet()
}

// chosenMarkdown is what the button copies.
func (b *tab) chosenMarkdown() string {
	b.Helper()
	b.eval(`navigator.clipboard.writeText = (text) => { window.copied = text; return Promise.resolve(); }`)
	b.click("#copy-markdown")
	b.want(`document.getElementById('copied').textContent`, "Copied.")
	return b.eval(`window.copied`)
}

// The Markdown that a page copies has the ladder that the report in Markdown has.
func TestCopyAsMarkdown(t *testing.T) {
	ladder := func(text string) string { return text[strings.Index(text, "\nleft "):] }
	for _, port := range []uint16{9091, 443, 50001, 50005, 50000} {
		b := open(t, only(t, port))
		got, want := b.chosenMarkdown(), string(markdown(t, only(t, port)))
		if ladder(got) != ladder(want) {
			t.Errorf("%s\nwant\n%s", got, want)
		}
		b.quiet()
	}
	r := report.New(time.UTC)
	tracetest.Send(renamed{port1{pipeline.New(r), 9091}, "```` </script> [a](https://b.example/)"})
	b := open(t, r)
	checkBlockOfCode(t, b.chosenMarkdown())
	b = open(t, restart(t))
	if got, want := b.chosenMarkdown(), "### TCP connection 127.0.0.1:45230 to 127.0.0.1:80\n\n```text\nbind() of python3/16090"; !strings.HasPrefix(got, want) {
		t.Errorf("%s\nwant %s", got, want)
	}
	if got := b.chosenMarkdown(); !strings.Contains(got, "\nThe server closed first: python3/16070 by close.\n") {
		t.Error(got)
	}
}

// TestNATPage: the page has one connection, and both addresses of the server.
func TestNATPage(t *testing.T) {
	play := func() *report.Report {
		r := report.New(time.UTC)
		if err := tracetest.PlayNAT(r); err != nil {
			t.Fatal(err)
		}
		return r
	}
	b := open(t, play())
	b.want(`document.getElementById('count').textContent`, "1 shown")
	got, want := b.chosenMarkdown(), string(markdown(t, play()))
	ladder := func(text string) string { return text[strings.Index(text, "\nleft "):] }
	if ladder(got) != ladder(want) || !strings.Contains(got, "\nright  server 10.0.0.5:8080, through NAT: it is 172.17.0.2:80 there, and the other end is 172.17.0.1:61000\n") {
		t.Errorf("%s\nwant\n%s", got, want)
	}
	b.want(`document.getElementById('ladder-drawing').textContent.includes('NAT: 172.17.0.2:80 with 172.17.0.1:61000')`, "true")
	b.shot("nat-light-1280", 1280, false)
	b.quiet()
}

// Where a page may not copy, the text is selected.
func TestCopyWithoutClipboard(t *testing.T) {
	b := open(t, restart(t))
	for _, clipboard := range []string{`undefined`, `{writeText: () => Promise.reject()}`} {
		b.eval(`Object.defineProperty(navigator, 'clipboard', {configurable: true, value: ` + clipboard + `})`)
		b.click("#copy-markdown")
		b.want(`String(document.getSelection()).slice(0, 18)`, "### TCP connection")
		b.want(`document.activeElement.id + ' ' + document.getElementById('copy-text').hidden`, "copy-text false")
		b.eval(`document.querySelector('#body tr[data-row]').click()`)
		b.want(`document.getElementById('copy-text').hidden`, "true")
	}
	b.quiet()
}

// A link leads to its connection.
func TestLinks(t *testing.T) {
	b := open(t, scripted(t))
	b.want(`location.hash`, "")
	b.search("nginx")
	b.want(shownRows, "3")
	b.eval(`(() => { location.hash = '#c=4'; })()`)
	b.want(ladderName, "[2001:db8:1234:5678:9abc:def0:1234:5678]:49152 to [2001:db8::1]:443")
	b.want(shownRows, "12")
	b.want(`Math.abs(document.getElementById('ladder').getBoundingClientRect().top) < 2`, "true")
	b.want(`document.getElementById('link').hash`, "#c=4")
	b.eval(`[...document.querySelectorAll('#body a')].find((a) => a.closest('tr').textContent.includes('172.16.79.182:40000')).click()`)
	b.want(`location.hash`, "#c=2")
	b.want(ladderName, "172.16.79.182:40000 to 172.16.79.132:9091")
	b.eval(`(() => { location.hash = '#c=99'; })()`)
	b.want(`document.getElementById('chosen').textContent`, "Connection 99 is not on this page.")
	linked := visit(t, b.eval(`location.href.split('#')[0]`)+"#c=5")
	linked.want(ladderName, "[::1]:33000 to [::1]:8080")
	b.quiet()
}

// The table says of a connection whose ends they are, how long it lasted and what it carried.
func TestTable(t *testing.T) {
	b := open(t, scripted(t))
	row := func(name string) string {
		return `[...document.querySelectorAll('#body tr')].find((tr) => tr.textContent.includes('` + name + `')).querySelectorAll('td')`
	}
	cells := func(name string) string {
		return `[...` + row(name) + `].map((td) => [...td.childNodes].map((line) => line.textContent).join('/')).join('|')`
	}
	b.want(cells("172.16.79.182:40000"), `12:00:00.001000|172.16.79.182:40000/curl\x1b[2J\x0a\xe2\x80\xaetxt/4300|172.16.79.132:9091/python3/4242|CLOSE/TIME_WAIT|server/fin, by close|1.50s|80B|1.5KiB|2|12:01:03.7`)
	b.want(cells("10.0.0.9:50005"), "12:00:00.000/or before|10.0.0.9:50005|10.0.0.1:8080/nginx/81|CLOSE_WAIT|client/fin|> 13.0s|0B|900B|0|")
	b.do(chromedp.EmulateViewport(390, 900))
	b.want(`document.querySelector('#table').scrollWidth <= document.querySelector('#table').clientWidth`, "true")
	b.want(`getComputedStyle(`+row("172.16.79.182:40000")+`[1], '::before').content`, `"Client"`)
	b.want(`document.querySelector('#body tr[data-row]').offsetHeight`, "156")
	b.quiet()
}

func TestZoom(t *testing.T) {
	b := open(t, restart(t))
	whole := b.eval(rangeShown)
	b.click("#zoom-all")
	b.want(rangeShown, "62.8s")
	b.click("#zoom-in")
	b.want(rangeShown, "31.4s")
	b.click("#timeline")
	b.do(chromedp.KeyEvent("+"))
	b.want(rangeShown, "15.7s")
	left := b.eval(`document.getElementById('range').textContent`)
	b.do(chromedp.KeyEvent(kb.ArrowRight))
	if right := b.eval(`document.getElementById('range').textContent`); right == left {
		t.Errorf("the right arrow leaves %s", left)
	}
	b.do(chromedp.KeyEvent("0"))
	b.want(rangeShown, "62.8s")
	b.eval(`document.getElementById('zoom-chosen').click()`)
	b.eval(`(() => {
		const span = [...document.querySelectorAll('#spans rect')].find((r) => (r.dataset.tip || '').startsWith('TIME_WAIT'));
		const at = span.getBoundingClientRect();
		span.dispatchEvent(new PointerEvent('pointermove', {bubbles: true, clientX: at.x + 5, clientY: at.y + 5}));
	})()`)
	b.want(`document.getElementById('tip').textContent.split('\n').slice(0, 3).join('; ')`,
		"TIME_WAIT of the server 127.0.0.1:80; from 04:13:30.438474; still TIME_WAIT, until 04:14:30.6")
	if whole == "62.8s" {
		t.Errorf("at first %s are shown: what was recorded is hard to see", whole)
	}
	b.quiet()
}

// What is chosen in one part of the page is so in all others.
func TestSelection(t *testing.T) {
	b := open(t, scripted(t))
	b.eval(`[...document.querySelectorAll('#body tr')].find((tr) => tr.textContent.includes('172.16.79.182:40000')).click()`)
	name := b.eval(ladderName)
	if name != "172.16.79.182:40000 to 172.16.79.132:9091" {
		t.Errorf("chosen is %q", name)
	}
	b.want(`document.querySelectorAll('#spans .row-back.chosen').length`, "1")
	b.want(`document.querySelectorAll('#ladder .segment').length`, "7")
	b.want(`document.querySelectorAll('#ladder-steps tbody tr').length`, "10")
	b.want(`document.querySelector('#edge-LAST_ACK-CLOSE').classList.contains('chosen')`, "true")
	b.want(`document.querySelector('#edge-CLOSING-TIME_WAIT').classList.contains('chosen')`, "false")
	b.click("#table")
	b.do(chromedp.KeyEvent(kb.ArrowDown))
	if server := b.eval(chosenRow); !strings.HasSuffix(b.eval(ladderName), server) || server == "" {
		t.Errorf("the chosen row is of %q, the ladder of %q", server, b.eval(ladderName))
	}
	if again := b.eval(ladderName); again == name {
		t.Error("the down arrow chooses no other row")
	}
	b.eval(`document.querySelector('.evidence:not([hidden])').click()`)
	b.want(shownRows, "1")
	b.click("#only")
	b.want(shownRows, "12")
	b.quiet()
}

// Nothing that is from a capture becomes markup, a script, or moves what is around it.
func TestHostileNamesStayText(t *testing.T) {
	for _, name := range []string{
		"<img src=x onerror=alert(1)>", "</script><script>document.title='x'</script>", "<!--<script>", "\u202etxt\x1b[2J", "'\"><b>&amp;{{.}}", "]]>${1}`",
	} {
		r := report.New(time.UTC)
		tracetest.Send(hostile{pipeline.New(r), name})
		b := open(t, r)
		b.want(`document.querySelectorAll('img, b, iframe, object, link').length`, "0")
		b.want(`document.scripts.length`, "2")
		shown := words.Escape(name)
		b.want(`document.body.innerText.includes(`+strconv.Quote(shown)+`)`, "true")
		b.want(`document.querySelector('#body').textContent.includes(`+strconv.Quote(shown)+`)`, "true")
		b.want(`/[\u202a-\u202e\u2066-\u2069\u0000-\u0008\u001b]/.test(document.documentElement.textContent)`, "false")
		b.quiet()
	}
}

// hostile gives everything whose words somebody else chooses a name.
type hostile struct {
	*pipeline.Stream
	name string
}

func (h hostile) Start(s *event.Start) {
	own := *s
	own.Hostname, own.Kernel, own.Version, own.Filter, own.Arch = h.name, h.name, h.name, h.name, h.name
	own.Sources = event.Sources{Transitions: h.name, Timewait: h.name, Owner: h.name, Resets: h.name, Calls: h.name}
	own.Sysctls = []event.Sysctl{{Name: h.name, Value: h.name}}
	h.Stream.Start(&own)
}

func (h hostile) Transition(t *event.Transition) {
	if t.Process != nil {
		p := *t.Process
		p.Comm = h.name
		t.Process = &p
	}
	if t.Reason != "" {
		t.Reason = h.name
	}
	h.Stream.Transition(t)
}

func (h hostile) CallFailed(c *event.CallFailed) {
	p := *c.Process
	p.Comm = h.name
	c.Process = &p
	h.Stream.CallFailed(c)
}

func (h hostile) Stop(s event.Stop) {
	s.Reason = h.name
	h.Stream.Stop(s)
}

// A page of 100,000 connections answers, with no more rows in it than a screen has. The log has how long that took.
func TestHundredThousandConnections(t *testing.T) {
	if testing.Short() {
		t.Skip("it makes a long trace")
	}
	r := report.New(time.UTC)
	synthetic.Make(100_000, r)
	b := open(t, r)
	b.Logf("ready after %s ms", b.eval(`document.documentElement.dataset.ready`))
	b.want(`document.getElementById('count').textContent`, "100,000 shown")
	for _, act := range []string{
		`document.querySelector('#columns th:nth-child(2) button').click()`,
		`document.getElementById('table').scrollTop = 1e6`,
		`document.getElementById('rows').scrollTop = 1e6`,
		`document.querySelector('#body tr[data-row]').click()`,
		`document.getElementById('zoom-in').click()`,
		`(() => { document.getElementById('search').value = ':40000'; refreshNow(); })()`,
	} {
		act = strings.Replace(act, "refreshNow()", `document.getElementById('who').dispatchEvent(new Event('change'))`, 1)
		took := b.eval(`(() => { const from = performance.now(); ` + act + `; document.body.offsetHeight; return Math.round(performance.now() - from); })()`)
		b.Logf("%s took %s ms", act, took)
	}
	if shown := b.eval(shownRows); shown == "0" || len(shown) > 2 {
		t.Errorf("%s rows are there", shown)
	}
	b.shot("big-light-1280", 1280, false)
	b.quiet()
}

func TestRestartPage(t *testing.T) {
	b := open(t, restart(t))
	b.want(`document.querySelector('#answer').innerText.includes('The server closed first: python3/16070 by close.')`, "true")
	b.shot("restart-light-1280", 1280, false)
	b.shot("restart-dark-1280", 1280, true)
	b.shot("restart-light-390", 390, false)
	b.quiet()
}

// TestHostsPage: the ladder of a connection between two hosts names them, says how long segments took, and shades
// changes that are closer to each other than the clocks are exact.
func TestHostsPage(t *testing.T) {
	r := report.New(time.UTC)
	if err := tracetest.PlayHosts(r); err != nil {
		t.Fatal(err)
	}
	b := open(t, r)
	ladderHas := func(text string) string {
		return `document.getElementById('ladder-drawing').textContent.includes('` + text + `')`
	}
	choose := func(id string) {
		b.eval(`(() => { location.hash = '#c=` + id + `'; })()`)
		b.want(ladderHas(":4000"+id), "true")
	}
	choose("3")
	for _, text := range []string{"on laptop", "on web-1", "clocks of the two hosts were compared, exact to 40us", "FIN, 150us"} {
		b.want(ladderHas(text), "true")
	}
	b.want(`document.querySelectorAll('#ladder .unsure').length`, "0")
	b.shot("hosts-light-1280", 1280, false)
	choose("9")
	b.want(ladderHas("Shaded: the order"), "true")
	b.want(`document.querySelectorAll('#ladder .unsure').length`, "3")
	b.shot("hosts-crossed-dark-400", 400, true)
	b.quiet()
}
