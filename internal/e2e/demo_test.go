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

// A demo is a process of the demo, with a board of its own.
type demo struct {
	t       *testing.T
	program string
	addr    string
	db      string
	args    []string // besides those of addr and db
	cmd     *exec.Cmd
	output  chan string // its lines, after the first
	done    chan error
}

// startDemo starts the demo on a free port, and stops it when the test ends.
func startDemo(t *testing.T) *demo {
	t.Helper()
	return startProgram(t, demoBinary)
}

// startProgram is startDemo for another program of the demo.
func startProgram(t *testing.T, program string, args ...string) *demo {
	t.Helper()
	d := &demo{t: t, program: program, addr: fmt.Sprintf("127.0.0.1:%d", freePort(t)), db: filepath.Join(t.TempDir(), "board.db"), args: args}
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
	d.cmd = exec.Command(d.program, append(args, d.args...)...)
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
		d.t.Fatalf("the demo prints %q, %v, want its URL", lines.Text(), lines.Err())
	}
	d.done = make(chan error, 1)
	d.output = make(chan string, 100)                                 // more than it prints
	go func(cmd *exec.Cmd, output chan<- string, done chan<- error) { // ends with the process
		for lines.Scan() {
			output <- lines.Text()
		}
		done <- cmd.Wait()
	}(d.cmd, d.output, d.done)
}

// stop ends the process as a service manager does. It must exit without an error
// within 4 s, whatever the number of open streams.
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

// kill kills the process, as a power cut would.
func (d *demo) kill() {
	d.cmd.Process.Kill()
	<-d.done
	d.cmd = nil
}

func (d *demo) url(path string) string { return "http://" + d.addr + path }

// post sends a form.
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

// A card is a card of a page, or of the database.
type card struct {
	ID, Column, Text string
}

// cards returns the cards of the database: column by column, from top to bottom.
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

// placeOf returns a card's column, and the number of cards above it.
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
