//go:build linux

// Package report writes what was measured as tables and plots.
package report

import (
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"example.org/sse/internal/bench/driver"
)

// Print writes the results as tables.
func Print(w io.Writer, results *driver.Results) error {
	_, err := io.WriteString(w, newTables(results).text(nil, ""))
	return err
}

// Write writes the plots of the results into a folder, and the tables into a
// file, in place of those that were there. The file's links to the plots are
// relative to it.
func Write(results *driver.Results, into, plots string) error {
	if err := os.MkdirAll(plots, 0o777); err != nil {
		return err
	}
	t := newTables(results)
	drawn, err := t.plot(plots)
	if err != nil {
		return err
	}
	base, err := filepath.Rel(filepath.Dir(into), plots)
	if err != nil {
		return err
	}
	return Replace(into, "rivals", t.text(drawn, filepath.ToSlash(base)))
}

// Replace writes a text into a file, in place of what was between the two lines
// that have the name of the report.
func Replace(file, name, text string) error {
	begin, end := "<!-- "+name+":begin -->", "<!-- "+name+":end -->"
	old, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	before, rest, begins := strings.Cut(string(old), begin)
	_, after, ends := strings.Cut(rest, end)
	if !begins || !ends {
		return fmt.Errorf("%s has no place for the report: write the lines %s and %s where it should be", file, begin, end)
	}
	return os.WriteFile(file, []byte(before+begin+"\n\n"+text+end+after), 0o666)
}

// text returns the tables, with links to the plots that are drawn.
func (t *tables) text(drawn map[driver.Measure]string, base string) string {
	b := new(strings.Builder)
	t.writeHead(b)
	for _, section := range sections {
		section.write(b, t, drawn[section.measure], base)
	}
	t.writeComparison(b)
	t.writeFailures(b)
	return b.String()
}
