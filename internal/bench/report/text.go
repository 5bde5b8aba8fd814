package report

import (
	"embed"
	"fmt"
	"math"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"text/template"

	"golang.org/x/text/language"
	"golang.org/x/text/message"
)

// The texts of the reports. In them a cell is written as figure=format, and figure/=
// is the figure's ratio to the row's base; | separates the parts of a cell. A cell that
// begins with ! has the figures of a subject that failed, too.
//
//go:embed *.md
var texts embed.FS

var english = message.NewPrinter(language.English)

// Text returns the report. It draws plots into a folder if that is not empty, and links
// to them by base.
func (r *Results) Text(folder, base string) (string, error) {
	t := template.New(r.Kind + ".md").Funcs(template.FuncMap{
		"head": r.head, "keys": r.Keys, "title": title, "table": r.table, "comparison": r.comparison, "failures": r.failures,
		"cell": func(subject string, k Key, spec string) string { return r.cell(subject, "", k, spec) },
		"plot": func(title, measure, spec, axis, file string) (string, error) {
			if folder == "" {
				return "", nil
			}
			link := fmt.Sprintf("![%s](%s)\n\n", title, path.Join(base, file))
			return link, r.plot(filepath.Join(folder, file), title, measure, spec, axis)
		},
	})
	t, err := t.ParseFS(texts, r.Kind+".md")
	if err != nil {
		return "", err
	}
	var b strings.Builder
	err = t.Execute(&b, r)
	return b.String(), err
}

// head says how the figures came about, and of what they are no medians.
func (r *Results) head(except string) string {
	rounds := 0
	for _, one := range r.Results {
		rounds = max(rounds, one.Round+1)
	}
	medians := "Each was measured once."
	if rounds > 1 {
		medians = fmt.Sprintf("Medians of %d rounds%s.", rounds, except)
	}
	return fmt.Sprintf("Measured on %s by\n\n    %s\n\non %s. Load averages: %s. %s\n",
		r.Date.Format("2006-01-02"), r.Command, r.Machine, r.Load, medians)
}

// title returns a key as the title of a column. The noun is a plural.
func title(noun string, k Key) string {
	text := english.Sprintf("%d %s", k.N, noun)
	switch {
	case k.N == 1:
		text = strings.TrimSuffix(text, "s")
	case k.Size >= 1<<10 && k.Size%(1<<10) == 0:
		text += fmt.Sprintf(", %d KiB", k.Size>>10)
	case k.Size > 0:
		text += english.Sprintf(", %d B", k.Size)
	}
	return text
}

// table returns a table of the titles and cells, in turn. A single one is repeated for
// each key of the measure, and its title is a noun. Rows without a figure are left out.
func (r *Results) table(measure string, columns ...string) string {
	keys, text, ruler := r.Keys(measure), "|", "|---|"
	for _, k := range keys {
		for column := range slices.Chunk(columns, 2) {
			heading := column[0]
			if len(columns) == 2 {
				heading = title(heading, k)
			}
			text, ruler = text+" | "+heading, ruler+"---:|"
		}
	}
	text += " |\n" + ruler + "\n"
	for _, row := range r.Rows {
		var cells []string
		for _, k := range keys {
			for i := 1; i < len(columns); i += 2 {
				cells = append(cells, r.cell(row.Subject, row.Base, k, columns[i]))
			}
		}
		if slices.ContainsFunc(cells, func(cell string) bool { return cell != empty }) {
			text += fmt.Sprintf("| %s | %s |\n", row.Title(), strings.Join(cells, " | "))
		}
	}
	return text
}

const empty = "–"

func (r *Results) cell(subject, base string, k Key, spec string) (text string) {
	spec, anyway := strings.CutPrefix(spec, "!")
	if len(r.of(subject, k)) == 0 {
		return empty
	}
	if f := r.failure(subject, k); f != "" && !anyway {
		return f
	}
	for part := range strings.SplitSeq(spec, "|") {
		name, format, isFigure := strings.Cut(part, "=")
		if !isFigure {
			return part
		}
		v, ok := r.median(subject, k, name)
		if of, isRatio := strings.CutSuffix(name, "/"); isRatio {
			if v, ok = median(r.ratios(subject, base, k, of)); !ok {
				continue
			}
			text += fmt.Sprintf(format, v)
			continue
		}
		if !ok {
			return empty
		}
		text += english.Sprintf(format, v)
	}
	return text
}

// Before returns the name of a subject's older version.
func Before(subject string) string { return subject + ", before" }

// comparison returns rows of the figures of subjects before and after, and of the
// median of their ratios with its confidence interval.
func (r *Results) comparison(measures ...string) (text string) {
	for _, one := range r.Results {
		if one.Round > 0 || !slices.Contains(measures, one.Measure) {
			continue
		}
		for _, f := range one.names() {
			ratios := r.ratios(one.Subject, Before(one.Subject), one.Key, f)
			if ratio := summary(ratios); len(ratios) > 0 {
				before, _ := r.median(Before(one.Subject), one.Key, f)
				after, _ := r.median(one.Subject, one.Key, f)
				interval := empty
				if !math.IsInf(ratio.Lo, 0) { // with six ratios or more
					interval = fmt.Sprintf("%.3f to %.3f", ratio.Lo, ratio.Hi)
				}
				text += fmt.Sprintf("| %s, %s, %s | %s | %.4g | %.4g | %.3f | %s |\n",
					one.Subject, one.Measure, title("streams", one.Key), f, before, after, ratio.Center, interval)
			}
		}
	}
	return text
}

// failures returns what is behind the words hangs and fails.
func (r *Results) failures() string {
	var lines []string
	for _, one := range r.Results {
		line := english.Sprintf("- %s, %s, %d streams: %.200s\n", one.Subject, one.Measure, one.N, strings.ReplaceAll(one.Failure, "\n", "; "))
		if one.Failure != "" && !slices.Contains(lines, line) {
			lines = append(lines, line)
		}
	}
	return strings.Join(lines, "")
}

// Write writes the report and its plots. In the file it replaces what is between the
// two lines with the report's name; the folder for the plots is relative to the file.
func (r *Results) Write(file, plots string) error {
	begin, end := "<!-- "+r.Kind+":begin -->", "<!-- "+r.Kind+":end -->"
	old, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	before, rest, begins := strings.Cut(string(old), begin)
	_, after, ends := strings.Cut(rest, end)
	if !begins || !ends {
		return fmt.Errorf("%s has no place for the report: add the lines %s and %s", file, begin, end)
	}
	folder := filepath.Join(filepath.Dir(file), plots)
	if err := os.MkdirAll(folder, 0o777); err != nil {
		return err
	}
	text, err := r.Text(folder, plots)
	if err != nil {
		return err
	}
	return os.WriteFile(file, []byte(before+begin+"\n\n"+text+end+after), 0o666)
}
