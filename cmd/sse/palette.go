package main

import (
	"io"
	"os"
	"strconv"

	"github.com/fatih/color"
	"golang.org/x/term"
)

// A palette has the colors of one output. Each function colors its text, or
// returns it unchanged where colors are off.
type palette struct {
	dim, name, good, warn, bad func(text string) string
}

// palette returns the colors for a writer.
func (s *streams) palette(w io.Writer) palette {
	on := s.color == "always"
	if s.color == "auto" {
		on = isTerminal(w) && os.Getenv("NO_COLOR") == "" && os.Getenv("TERM") != "dumb"
	}
	paint := func(attributes ...color.Attribute) func(string) string {
		c := color.New(attributes...)
		if on {
			c.EnableColor()
		} else {
			c.DisableColor()
		}
		sprint := c.SprintFunc()
		return func(text string) string { return sprint(text) }
	}
	return palette{
		dim:  paint(color.Faint),
		name: paint(color.FgCyan, color.Bold),
		good: paint(color.FgGreen),
		warn: paint(color.FgYellow),
		bad:  paint(color.FgRed, color.Bold),
	}
}

// isTerminal reports whether w is a terminal.
func isTerminal(w io.Writer) bool {
	f, ok := w.(*os.File)
	return ok && term.IsTerminal(int(f.Fd()))
}

// widthOf returns the number of columns of w: COLUMNS, or the terminal's, or 80.
func widthOf(w io.Writer) int {
	if n, err := strconv.Atoi(os.Getenv("COLUMNS")); err == nil && n > 0 {
		return n
	}
	if f, ok := w.(*os.File); ok {
		if width, _, err := term.GetSize(int(f.Fd())); err == nil && width > 0 {
			return width
		}
	}
	return 80
}
