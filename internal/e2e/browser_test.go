// Package e2e tests whole programs with browsers, proxies and brokers.
package e2e

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/chromedp"
)

var (
	demoFolder, _ = filepath.Abs("../../demo")
	demoBinary    string
	chromium      context.Context // shared by the tests; nil if not installed
)

func TestMain(m *testing.M) {
	if role := os.Getenv(roleVariable); role != "" {
		os.Exit(play(role))
	}
	flag.Parse()
	code := run(m)
	quitFirefox()
	quitWebKit()
	os.Exit(code)
}

// run builds the demo and starts the browser, once for all tests.
func run(m *testing.M) int {
	dir, err := os.MkdirTemp("", "e2e")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer os.RemoveAll(dir)
	path := chromiumPath()
	if path == "" {
		return m.Run() // the tests report it
	}
	demoBinary = filepath.Join(dir, "demo")
	if err := build(demoFolder, demoBinary); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	ctx, cancel, err := launch(path, filepath.Join(dir, "profile"))
	defer cancel()
	if err != nil {
		fmt.Fprintln(os.Stderr, "start Chromium:", err)
		return 1
	}
	defer chromedp.Cancel(ctx)
	chromium = ctx //nolint:fatcontext // set once, and for all tests
	return m.Run()
}

// build builds the program in a folder, whose module may be another one.
func build(folder, program string) error {
	cmd := exec.Command("go", "build", "-o", program, ".")
	cmd.Dir = folder
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("build %s: %w\n%s", folder, err, out)
	}
	return nil
}

// launch starts a browser.
func launch(path, profile string) (context.Context, context.CancelFunc, error) {
	options := append(chromedp.DefaultExecAllocatorOptions[:],
		chromedp.ExecPath(path),
		chromedp.UserDataDir(profile),
		chromedp.DisableGPU,
		chromedp.Flag("disable-quic", true),
		chromedp.Flag("disable-component-update", true),
	)
	if os.Geteuid() == 0 {
		options = append(options, chromedp.NoSandbox) // Chromium has none for root
	}
	ctx, cancelBrowser := chromedp.NewExecAllocator(context.Background(), options...)
	ctx, cancelTab := chromedp.NewContext(ctx)
	return ctx, func() { cancelTab(); cancelBrowser() }, chromedp.Do(ctx)
}

// launchAnother starts a browser of the test's own, which can be killed as a power
// cut does it.
func launchAnother(t *testing.T) (ctx context.Context, kill func()) {
	t.Helper()
	needChromium(t)
	ctx, cancel, err := launch(chromiumPath(), t.TempDir())
	t.Cleanup(cancel)
	if err != nil {
		t.Fatal(err)
	}
	return ctx, func() { chromedp.FromContext(ctx).Browser.Process().Kill() }
}

// chromiumPath returns the path of the browser. It is empty if there is no browser,
// or the tests run with -short, which starts none.
func chromiumPath() string {
	if testing.Short() {
		return ""
	}
	for _, name := range []string{"chromium", "chromium-browser", "google-chrome"} {
		if path, err := exec.LookPath(name); err == nil {
			return path
		}
	}
	return ""
}

// needChromium skips a test with -short or if there is no browser. In CI the test
// fails if there is none.
func needChromium(t *testing.T) {
	t.Helper()
	skipShort(t)
	if chromium != nil {
		return
	}
	if os.Getenv("CI") == "true" {
		t.Fatal("Chromium is not installed")
	}
	t.Skip("Chromium is not installed: the pages are not tested")
}

// patience is a guard against hangs: on a busy machine everything takes longer.
const patience = 2 * time.Minute

// A tab is a page in the browser.
type tab struct {
	t    *testing.T
	name string
	ctx  context.Context

	driven *driven // its browser, if that is not Chromium
	handle string  // its name there
	closed bool

	mu       sync.Mutex
	messages []string // of the console
	expected []string // parts of messages that are no fault
}

// open opens a page in a tab. Other options may put it into a browser profile
// of its own, with its own cookies.
func open(t *testing.T, url string, options ...chromedp.ContextOption) *tab {
	t.Helper()
	return openIn(chromium, t, url, options...)
}

// openIn opens a page in a browser's tab.
func openIn(browser context.Context, t *testing.T, url string, options ...chromedp.ContextOption) *tab {
	t.Helper()
	ctx, cancel := chromedp.NewContext(browser, options...)
	b := &tab{t: t, name: url[max(strings.LastIndex(url, "/"), 0):], ctx: ctx}
	console := chromedp.Console(ctx)
	var reading sync.WaitGroup
	reading.Go(func() {
		for m, err := range console {
			if err != nil {
				return // the tab is closed
			}
			b.mu.Lock()
			b.messages = append(b.messages, m.String())
			b.mu.Unlock()
		}
	})
	t.Cleanup(func() {
		b.checkConsole()
		cancel()
		reading.Wait()
	})
	if err := chromedp.Do(ctx); err != nil { // without a limit: it would be the tab's
		t.Fatal(err)
	}
	b.visit(url)
	return b
}

// visit goes to a URL.
func (b *tab) visit(url string) {
	b.t.Helper()
	if b.driven != nil {
		if err := b.command("Navigate", map[string]any{"url": url}, nil); err != nil {
			b.t.Fatal(err)
		}
		return
	}
	ctx, cancel := context.WithTimeout(b.ctx, patience)
	defer cancel()
	if err := chromedp.Do(ctx, chromedp.Navigate(url)); err != nil {
		b.t.Fatalf("%s: go to %s: %v", b.name, url, err)
	}
}

// expect names messages of the console that are no fault.
func (b *tab) expect(parts ...string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.expected = append(b.expected, parts...)
}

func (b *tab) checkConsole() {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, m := range b.messages {
		if !slices.ContainsFunc(b.expected, func(part string) bool { return strings.Contains(m, part) }) {
			b.t.Errorf("%s: the console has %s", b.name, m)
		}
	}
}

// eval returns the value of an expression.
func eval[T any](b *tab, js string) T {
	b.t.Helper()
	if b.driven != nil {
		v, err := evalDriven[T](b, js)
		if err != nil {
			b.t.Fatalf("%s: %s: %v", b.name, js, err)
		}
		return v
	}
	ctx, cancel := context.WithTimeout(b.ctx, patience)
	defer cancel()
	v, err := chromedp.Run(ctx, chromedp.Evaluate[T](js))
	for err != nil && strings.Contains(err.Error(), "navigated") { // the page was reloaded meanwhile
		v, err = chromedp.Run(ctx, chromedp.Evaluate[T](js))
	}
	if err != nil {
		b.t.Fatalf("%s: %s: %v", b.name, js, err)
	}
	return v
}

// do runs statements.
func (b *tab) do(js string) {
	b.t.Helper()
	eval[bool](b, "(() => {"+js+"\n; return true})()")
}

// await waits until an expression is true.
func (b *tab) await(limit time.Duration, js string) {
	b.t.Helper()
	eventually(b.t, limit, func() string {
		if eval[bool](b, js) {
			return ""
		}
		return b.name + ": not so: " + js
	})
}

// eventually repeats a check until it has no complaint. The limit holds with -full,
// which needs an idle machine; otherwise the wait ends after patience. A limit of 0
// means that the check is made once.
func eventually(t *testing.T, limit time.Duration, check func() (complaint string)) {
	t.Helper()
	if limit > 0 && !*full {
		limit = patience
	}
	deadline := time.Now().Add(limit)
	for {
		complaint := check()
		if complaint == "" {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("after %v: %s", limit, complaint)
		}
		time.Sleep(30 * time.Millisecond) // between two looks
	}
}

// close closes the tab, as a user does.
func (b *tab) close() {
	b.t.Helper()
	b.closed = true
	var err error
	if b.driven == nil {
		err = chromedp.Cancel(b.ctx)
	} else {
		err = b.command("CloseWindow", nil, nil)
	}
	if err != nil {
		b.t.Fatalf("%s: close: %v", b.name, err)
	}
}
