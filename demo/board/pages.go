package board

import (
	"bytes"
	"embed"
	"errors"
	"fmt"
	"html/template"
	"io/fs"
	"log"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"time"
	_ "time/tzdata" // for machines without a time zone database

	"example.org/sse"
	"example.org/sse/presence"
)

//go:embed templates
var templateFiles embed.FS

//go:embed static
var staticFiles embed.FS

// views render data as HTML: pages, and the regions that streams update.
type views struct{ templates *template.Template }

func parseViews() *views {
	return &views{template.Must(template.ParseFS(templateFiles, "templates/*.html"))}
}

// html executes a template. The demo's templates do not fail for the demo's data;
// if one does, the region stays empty, and the error is logged.
func (v *views) html(name string, data any) string {
	html, err := sse.HTML(v.templates, name, data)
	if err != nil {
		log.Print(err)
	}
	return html
}

// respond answers a request with a template's HTML.
func (v *views) respond(w http.ResponseWriter, status int, name string, data any) {
	var b bytes.Buffer
	if err := v.templates.ExecuteTemplate(&b, name, data); err != nil {
		log.Print(err)
		http.Error(w, "This page is broken.", http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.WriteHeader(status)
	w.Write(b.Bytes())
}

// A cardView is a card with the values that its template needs: the places that
// its buttons move it to, "" for a button that it does not have.
type cardView struct {
	card
	Changed               bool // just now: it is highlighted
	Up, Down, Left, Right string
	Tick                  string
}

// Title returns the text's first line.
func (c cardView) Title() string { return c.Text[:len(c.Text)-len(c.Rest())] }

// Rest returns the text after the first line, beginning with the newline.
func (c cardView) Rest() string {
	if i := strings.IndexByte(c.Text, '\n'); i >= 0 {
		return c.Text[i:]
	}
	return ""
}

// A columnView is a column with its cards.
type columnView struct {
	ID    column
	Title string
	Cards []cardView
}

// board returns the whole board. The card that was just changed, if any, is
// highlighted.
func (v *views) board(cards []card, changed int64) string {
	columns := []columnView{{ID: todo, Title: "To do"}, {ID: doing, Title: "Doing"}, {ID: done, Title: "Done"}}
	for i := range columns {
		col := &columns[i]
		for _, c := range cards {
			if c.Column == col.ID {
				col.Cards = append(col.Cards, cardView{card: c, Changed: c.ID == changed, Tick: "done/0"})
			}
		}
		for j := range col.Cards {
			c := &col.Cards[j]
			if col.ID == done {
				c.Tick = "todo/0"
			}
			if i > 0 {
				c.Left = string(columns[i-1].ID) + "/0"
			}
			if i < len(columns)-1 {
				c.Right = string(columns[i+1].ID) + "/0"
			}
			if j > 0 {
				c.Up = fmt.Sprintf("%s/%d", col.ID, col.Cards[j-1].ID)
			}
			if j < len(col.Cards)-1 {
				c.Down = string(col.ID) + "/0" // from last but one to last
				if j < len(col.Cards)-2 {
					c.Down = fmt.Sprintf("%s/%d", col.ID, col.Cards[j+2].ID)
				}
			}
		}
	}
	return v.html("board", columns)
}

// page answers with one of the three pages. Its regions have their content, so
// that nothing moves when the stream begins.
func (a *App) page(name string) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		you := welcome(w, r)
		board, err := a.streams.region("board")
		if err != nil {
			log.Printf("reading the board failed: %v", err)
			http.Error(w, "The board cannot be read.", http.StatusInternalServerError)
			return
		}
		token, session := a.people.Token(you.id)
		self, err := sse.JSON(session)
		if err != nil {
			log.Print(err) // a session is plain data
		}
		w.Header().Set("Cache-Control", "no-store") // two pages must not have one token
		a.views.respond(w, http.StatusOK, name, map[string]any{
			"Page":    name,
			"Host":    r.Host,
			"Token":   token,
			"Session": self,
			"Board":   template.HTML(board),
			"Locks":   template.HTML(a.streams.lockList()),
			"Machine": template.HTML(a.machine.html()),
			"People":  template.HTML(a.people.html(a.people.here(), you, presence.Change{})),
			"Clock":   template.HTML(a.views.html("clock", time.Now().In(zoneOf(r)))),
		})
	}
}

// zoneOf returns the time zone from the cookie that the page's script sets, or UTC.
func zoneOf(r *http.Request) *time.Location {
	if c, err := r.Cookie("timezone"); err == nil {
		if zone, err := time.LoadLocation(c.Value); err == nil {
			return zone
		}
	}
	return time.UTC
}

// scriptPath returns a script's path in the folder of npm, "" for an unknown script.
func scriptPath(name string) string {
	switch name {
	case "htmx4.js":
		return "htmx4/dist/htmx.min.js"
	case "htmx4-sse.js":
		return "htmx4/dist/ext/hx-sse.min.js"
	case "htmx2.js":
		return "htmx.org/dist/htmx.min.js"
	case "htmx2-sse.js":
		return "htmx-ext-sse/dist/sse.min.js"
	}
	return ""
}

// checkScripts reports whether all scripts are there, before a page needs them.
func checkScripts(folder string) error {
	for _, name := range []string{"htmx4.js", "htmx4-sse.js", "htmx2.js", "htmx2-sse.js"} {
		path := filepath.Join(folder, filepath.FromSlash(scriptPath(name)))
		if _, err := os.Stat(path); errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("%s is missing: run \"npm ci --ignore-scripts\" in the demo's folder and start the demo there, or set -scripts", path)
		} else if err != nil {
			return fmt.Errorf("scripts: %w", err)
		}
	}
	return nil
}

// script serves one of htmx's files.
func (a *App) script(w http.ResponseWriter, r *http.Request) {
	path := scriptPath(r.PathValue("name"))
	if path == "" {
		http.NotFound(w, r)
		return
	}
	http.ServeFile(w, r, filepath.Join(a.scripts, filepath.FromSlash(path)))
}
