package report

import (
	"fmt"
	"os"
	"slices"
	"strings"

	"golang.org/x/text/language"
	"golang.org/x/text/message"
)

// English formats numbers as the reports have them.
var English = message.NewPrinter(language.English)

// A Row is a subject of a table.
type Row struct {
	Subject string
	Title   string
	Base    string // the subject that its ratios are to, if any
}

// A Column is some figures of a key.
type Column struct {
	Title   string
	Key     Key
	Figures []Figure
	Fine    string // what the cell has without figures, if the subject did not fail
	Anyway  bool   // the figures of a subject that failed count, too
}

// A Figure is a part of a cell.
type Figure struct {
	Name   string
	Format string
	Ratio  bool // to the row's base
}

// Head returns how the figures came about; except says of what they are no medians.
func (r *Results) Head(except string) string {
	rounds := 0
	for _, one := range r.Results {
		rounds = max(rounds, one.Round+1)
	}
	medians := "Each was measured once."
	if rounds > 1 {
		medians = fmt.Sprintf("Medians of %d rounds%s.", rounds, except)
	}
	return fmt.Sprintf("Measured on %s by\n\n    %s\n\non %s. Load averages: %s. %s\n\n",
		r.Date.Format("2006-01-02"), r.Command, r.Machine, r.Load, medians)
}

// Table returns a table, without the rows that would be empty.
func (r *Results) Table(rows []Row, columns []Column) string {
	b := new(strings.Builder)
	b.WriteString("|")
	for _, c := range columns {
		b.WriteString(" | " + c.Title)
	}
	b.WriteString(" |\n|---|" + strings.Repeat("---:|", len(columns)) + "\n")
	for _, row := range rows {
		var cells []string
		for _, c := range columns {
			cells = append(cells, r.cell(row, c))
		}
		if slices.ContainsFunc(cells, func(cell string) bool { return cell != empty }) {
			fmt.Fprintf(b, "| %s | %s |\n", row.Title, strings.Join(cells, " | "))
		}
	}
	b.WriteString("\n")
	return b.String()
}

const empty = "–"

func (r *Results) cell(row Row, c Column) string {
	if len(r.of(row.Subject, c.Key)) == 0 {
		return empty
	}
	if f := r.failure(row.Subject, c.Key); f != "" && !c.Anyway {
		return f
	}
	text := c.Fine
	for _, f := range c.Figures {
		v, ok := r.Median(row.Subject, c.Key, f.Name)
		if f.Ratio {
			if v, ok = median(r.ratios(row.Subject, row.Base, c.Key, f.Name)); !ok {
				continue
			}
		}
		if !ok {
			return empty
		}
		text += English.Sprintf(f.Format, v)
	}
	return text
}

// Comparison returns a table of the figures of subjects before and after, and of
// their ratios, if there are any.
func (r *Results) Comparison(before func(subject string) string, measures ...string) string {
	b := new(strings.Builder)
	for _, measure := range measures {
		for _, k := range r.Keys(measure) {
			for _, subject := range r.Subjects() {
				for _, f := range r.figures(subject, k) {
					ratios := r.ratios(subject, before(subject), k, f)
					if len(ratios) == 0 {
						continue
					}
					old, _ := r.Median(before(subject), k, f)
					now, _ := r.Median(subject, k, f)
					ratio, _ := median(ratios)
					fmt.Fprintf(b, "| %s, %s, %d | %s | %.4g | %.4g | %.2f | %.2f–%.2f |\n",
						measure, subject, k.N, f, old, now, ratio, ratios[0], ratios[len(ratios)-1])
				}
			}
		}
	}
	if b.Len() == 0 {
		return ""
	}
	return "### Before and after\n\n| | figure | before | after | ratio | in the rounds |\n|---|---|---:|---:|---:|---:|\n" + b.String() + "\n"
}

func (r *Results) figures(subject string, k Key) (names []string) {
	for _, one := range r.of(subject, k) {
		for name := range one.Figures {
			if !slices.Contains(names, name) {
				names = append(names, name)
			}
		}
	}
	slices.Sort(names)
	return names
}

// Replace writes a text into a file, in place of what is between the two lines with
// the name of the report.
func Replace(file, name, text string) error {
	begin, end := "<!-- "+name+":begin -->", "<!-- "+name+":end -->"
	old, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	before, rest, begins := strings.Cut(string(old), begin)
	_, after, ends := strings.Cut(rest, end)
	if !begins || !ends {
		return fmt.Errorf("%s has no place for the report: add the lines %s and %s", file, begin, end)
	}
	return os.WriteFile(file, []byte(before+begin+"\n\n"+text+end+after), 0o666)
}
