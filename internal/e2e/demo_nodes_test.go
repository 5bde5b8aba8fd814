package e2e

import (
	"fmt"
	"net/http"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/chromedp/chromedp"
)

// A demoNode is a node of the demo.
type demoNode struct {
	addr string
	pid  int
}

// startDemoNodes starts the demo on three nodes behind its proxy.
func startDemoNodes(t *testing.T) (*demo, map[string]demoNode) {
	t.Helper()
	program := filepath.Join(t.TempDir(), "demo-nodes")
	if err := build(filepath.Join(demoFolder, "nodes"), program); err != nil {
		t.Fatal(err)
	}
	var addrs []string
	for range 3 {
		addrs = append(addrs, fmt.Sprintf("127.0.0.1:%d", freePort(t)))
	}
	begin := time.Now()
	d := startProgram(t, program, "-nodes", strings.Join(addrs, ","))
	t.Logf("three nodes are ready after %v", since(begin))
	nodes := make(map[string]demoNode)
	for range addrs {
		line := <-d.output
		m := regexp.MustCompile(`^  ([A-C])  http://(\S+)  kill -9 (\d+)$`).FindStringSubmatch(line)
		if m == nil {
			t.Fatalf("the demo prints %q, want a node", line)
		}
		pid, _ := strconv.Atoi(m[3])
		nodes[m[1]] = demoNode{m[2], pid}
	}
	return d, nodes
}

// end ends the node, and waits until it accepts no more requests: otherwise it could
// accept a change and die, and the outcome would be unknown.
func (n demoNode) end(t *testing.T, how syscall.Signal) {
	t.Helper()
	syscall.Kill(n.pid, how)
	eventually(t, soon, func() string {
		resp, err := http.Get("http://" + n.addr + "/ready")
		if err != nil {
			return ""
		}
		resp.Body.Close()
		return "the node still answers"
	})
}

// restart restarts a node that has ended, by the command that the demo has printed.
func restart(t *testing.T, d *demo, name string, n demoNode) {
	t.Helper()
	next := false
	for command := range d.output {
		if !next {
			next = strings.HasPrefix(command, "Node "+name+" has ended (signal: killed)")
			continue
		}
		cmd := exec.Command("sh", "-c", "exec "+strings.TrimSuffix(command, "&"))
		cmd.Stderr = t.Output()
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() {
			cmd.Process.Kill()
			cmd.Wait()
		})
		break
	}
	eventually(t, soon, func() string {
		resp, err := http.Get("http://" + n.addr + "/ready")
		if err != nil {
			return err.Error()
		}
		resp.Body.Close()
		return strings.TrimPrefix(resp.Status, "204 No Content")
	})
}

func since(begin time.Time) time.Duration { return time.Since(begin).Round(time.Millisecond) }

// node returns the name of the page's node.
func (b *tab) node() string {
	b.t.Helper()
	return strings.TrimPrefix(eval[string](b, "document.querySelector('#node').textContent.trim()"), "to node ")
}

// elsewhere waits until the page is connected to another node, and its board is
// complete.
func (b *tab) elsewhere(d *demo, from string, begin time.Time) {
	b.t.Helper()
	b.await(15*time.Second, fmt.Sprintf(`document.body.dataset.stream === 'open' && document.querySelector('#node').textContent.trim() !== 'to node %s'`, from))
	same(b.t, d, b)
	b.t.Logf("%s: from node %s to %s in %v, with everything that it had missed", b.name, from, b.node(), since(begin))
}

// watch makes the page record whether a card's lock is free at any time from now on.
func (b *tab) watch(id string) {
	b.do(fmt.Sprintf(`window.freed = false
		new MutationObserver(() => window.freed ||= !document.querySelector('[data-card="%s"] .lock'))
			.observe(document.querySelector('#board'), {childList: true, subtree: true})`, id))
}

// Three windows are connected to a node each, and see each other's changes. Then
// nodes are killed or terminated: the windows reconnect to the nodes that are left,
// with nothing lost, and keep their locks. The lock of a page that does not reconnect
// is released when the node's lease expires. In the end all windows are connected to
// a node that was restarted.
func TestDemoNodes(t *testing.T) {
	needChromium(t)
	const lease = 10 * time.Second // the demo's
	d, nodes := startDemoNodes(t)
	var tabs []*tab
	at := make(map[string]*tab)
	for _, page := range allPages {
		b := open(t, d.url(page), chromedp.WithNewBrowserContext())
		b.await(soon, "document.body.dataset.stream === 'open' && document.querySelector('#node').textContent.trim() !== ''")
		b.expect("ERR_INCOMPLETE_CHUNKED_ENCODING", "htmx:sse:error: network error", "[object Event]")
		t.Logf("%s is connected to node %s", b.name, b.node())
		at[b.node()] = b
		tabs = append(tabs, b)
	}
	if len(at) != 3 {
		t.Fatalf("three windows are connected to %d nodes, want 3: %v", len(at), at)
	}
	begin := time.Now()
	for _, b := range tabs {
		b.await(soon, "document.querySelectorAll('#people li').length === 3")
	}
	t.Logf("all see each other within %v", since(begin))

	for i, b := range tabs {
		begin = time.Now()
		text := "written on " + b.name
		b.do(fmt.Sprintf(`const form = document.querySelector('.composer')
			form.elements.text.value = %q
			form.querySelector('button').click()`, text))
		eventually(t, soon, func() string { return missing(d, text) })
		same(t, d, tabs...)
		t.Logf("%s: a card is on all nodes after %v", b.name, since(begin))
		id := fmt.Sprint(i + 1)
		begin = time.Now()
		b.take(id)
		for _, other := range tabs {
			other.locked(id, true, begin, soon)
		}
		t.Logf("%s: a lock is on all nodes after %v", b.name, since(begin))
	}

	first, last := tabs[0], tabs[2]
	victim := first.node()
	gone := (&demo{t: t, addr: nodes[victim].addr}).enter() // it will not reconnect
	gone.lock("4", "take")
	last.locked("4", true, begin, soon)
	last.watch("1")
	first.do("document.querySelector('#editor textarea').value = 'written over a death'")
	begin = time.Now()
	nodes[victim].end(t, syscall.SIGKILL)
	d.post("/cards/add", "text", "while a node is dead")
	same(t, d, tabs[1:]...)
	t.Logf("SIGKILL of node %s: a card is on the others after %v", victim, since(begin))
	first.elsewhere(d, victim, begin)
	took := last.locked("4", false, begin, time.Until(begin.Add(lease+2*time.Second)))
	t.Logf("the lock of the page that did not reconnect is free after %v, with a lease of %v", took, lease)
	if took < lease/2 {
		t.Errorf("the lock is free after %v, want %v at least", took, lease/2)
	}
	last.await(soon, "document.querySelectorAll('#people li').length === 3")
	last.await(0, "!window.freed")
	first.do("document.querySelector('#editor .primary').click()")
	first.await(soon, "!document.querySelector('#editor').open")
	if got := missing(d, "written over a death"); got != "" {
		t.Error(got)
	}

	again := victim
	victim = last.node()
	begin = time.Now()
	nodes[victim].end(t, syscall.SIGTERM)
	d.post("/cards/add", "text", "while a node ends")
	for _, b := range tabs {
		b.elsewhere(d, victim, begin)
	}

	restart(t, d, again, nodes[again])
	victim = last.node() // the last of the original three
	begin = time.Now()
	nodes[victim].end(t, syscall.SIGKILL)
	d.post("/cards/add", "text", "while two nodes are dead")
	for _, b := range tabs {
		b.elsewhere(d, victim, begin)
	}
	tabs[1].locked("3", true, begin, 0)
	last.do("document.querySelector('#editor textarea').value = 'written over an end'; document.querySelector('#editor .primary').click()")
	last.await(soon, "!document.querySelector('#editor').open")
	eventually(t, soon, func() string { return missing(d, "written over an end") })
	same(t, d, tabs...)
}
