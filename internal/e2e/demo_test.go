package e2e

import (
	"bufio"
	"database/sql"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	_ "modernc.org/sqlite"
)

// A demo is the demo's process, with a board of its own.
type demo struct {
	t    *testing.T
	addr string
	db   string
	args []string // beside these
	cmd  *exec.Cmd
	says chan string // its lines, after the first
	done chan error
}

// startDemo starts the demo on a port of its own, and stops it at the test's end.
func startDemo(t *testing.T, args ...string) *demo {
	t.Helper()
	d := &demo{t: t, addr: fmt.Sprintf("127.0.0.1:%d", freePort(t)), db: filepath.Join(t.TempDir(), "board.db"), args: args}
	d.start()
	t.Cleanup(func() {
		if d.cmd != nil {
			d.stop()
		}
	})
	return d
}

// start starts the process and waits until it listens.
func (d *demo) start() {
	d.t.Helper()
	args := []string{"-addr", d.addr, "-db", d.db, "-scripts", filepath.Join(demoFolder, "node_modules")}
	d.cmd = exec.Command(demoBinary, append(args, d.args...)...)
	d.cmd.Stderr = d.t.Output()
	out, err := d.cmd.StdoutPipe()
	if err != nil {
		d.t.Fatal(err)
	}
	if err := d.cmd.Start(); err != nil {
		d.t.Fatal(err)
	}
	lines := bufio.NewScanner(out)
	if !lines.Scan() || !strings.HasPrefix(lines.Text(), "Open http://") {
		d.t.Fatalf("the demo says %q, %v", lines.Text(), lines.Err())
	}
	d.done = make(chan error, 1)
	d.says = make(chan string, 100)                                 // more than it says
	go func(cmd *exec.Cmd, says chan<- string, done chan<- error) { // ends with the process
		for lines.Scan() {
			says <- lines.Text()
		}
		done <- cmd.Wait()
	}(d.cmd, d.says, d.done)
}

// stop ends the process as a service manager does. It must end well, and soon,
// however many streams are open.
func (d *demo) stop() {
	d.t.Helper()
	began := time.Now()
	d.cmd.Process.Signal(syscall.SIGTERM)
	select {
	case err := <-d.done:
		if err != nil {
			d.t.Errorf("the demo ended with %v", err)
		}
		if took := time.Since(began); took > 4*time.Second && *full {
			d.t.Errorf("the demo took %v to end", took)
		}
	case <-time.After(patience):
		d.t.Error("the demo does not end")
		d.cmd.Process.Kill()
		<-d.done
	}
	d.cmd = nil
}

// kill ends the process as a power cut does.
func (d *demo) kill() {
	d.cmd.Process.Kill()
	<-d.done
	d.cmd = nil
}

func (d *demo) url(path string) string { return "http://" + d.addr + path }

// post sends a form, as a program would.
func (d *demo) post(path string, form ...string) {
	d.t.Helper()
	values := url.Values{}
	for i := 0; i < len(form); i += 2 {
		values.Set(form[i], form[i+1])
	}
	resp, err := http.PostForm(d.url(path), values)
	if err != nil {
		d.t.Fatal(err)
	}
	defer resp.Body.Close()
	body, _ := io.ReadAll(resp.Body)
	if resp.StatusCode != http.StatusNoContent {
		d.t.Fatalf("%s %v: %s %s", path, form, resp.Status, body)
	}
}

// A card as a page shows it, and as the database has it.
type card struct {
	ID, Column, Text string
}

// cards returns what the database has: column by column, from top to bottom.
func (d *demo) cards() (cards []card) {
	d.t.Helper()
	db, err := sql.Open("sqlite", "file:"+d.db+"?mode=ro&_pragma=busy_timeout(2000)")
	if err != nil {
		d.t.Fatal(err)
	}
	defer db.Close()
	rows, err := db.Query(`select id, list, text from card
		order by case list when 'todo' then 1 when 'doing' then 2 else 3 end, position, id`)
	if err != nil {
		d.t.Fatal(err)
	}
	defer rows.Close()
	for rows.Next() {
		var c card
		if err := rows.Scan(&c.ID, &c.Column, &c.Text); err != nil {
			d.t.Fatal(err)
		}
		cards = append(cards, c)
	}
	if err := rows.Err(); err != nil {
		d.t.Fatal(err)
	}
	return cards
}

// placeOf returns a card's column and how many cards are above it there.
func (d *demo) placeOf(id string) string {
	d.t.Helper()
	above := make(map[string]int)
	for _, c := range d.cards() {
		if c.ID == id {
			return fmt.Sprintf("%s/%d", c.Column, above[c.Column])
		}
		above[c.Column]++
	}
	return "none"
}

// find returns the card with that text.
func (d *demo) find(text string) card {
	d.t.Helper()
	for _, c := range d.cards() {
		if c.Text == text {
			return c
		}
	}
	d.t.Fatalf("the board has no card %q", text)
	return card{}
}
