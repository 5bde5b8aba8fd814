//go:build linux

package report

import (
	"bytes"
	"image/color"
	"os"
	"path/filepath"
	"slices"

	"golang.org/x/image/font"
	"gonum.org/v1/plot"
	"gonum.org/v1/plot/plotter"
	"gonum.org/v1/plot/text"
	"gonum.org/v1/plot/vg"
	"gonum.org/v1/plot/vg/draw"
	"gonum.org/v1/plot/vg/vgsvg"

	"example.org/sse/internal/bench/driver"
)

// Both are readable on the plots' white background, whatever the page's is.
var (
	ours   = color.RGBA{R: 0x0b, G: 0x62, B: 0xbd, A: 0xff}
	theirs = color.RGBA{R: 0xa6, G: 0xa6, B: 0xa6, A: 0xff}
)

// figures are what is plotted of a measure.
var figures = []struct {
	measure driver.Measure
	figure  string
	file    string
	title   string
	axis    string
	label   string // of a bar
}{
	{driver.One, driver.CPU, "cpu.svg", "Server CPU time for each delivery, one event at a time", "server CPU time, µs", "%.2f"},
	{driver.Flat, driver.CPU, "flat.svg", "Server CPU time for each delivery, 16 events on their way", "server CPU time, µs", "%.2f"},
	{driver.Idle, driver.Resident, "idle.svg", "Memory of an idle stream", "KiB resident", "%.1f"},
}

// plot draws bars of the measures that there are results of, with the most
// streams and the smallest events, and returns the files' names.
func (t *tables) plot(folder string) (map[driver.Measure]string, error) {
	files := make(map[driver.Measure]string)
	for _, f := range figures {
		shapes := t.shapes(f.measure)
		if len(shapes) == 0 {
			continue
		}
		most := slices.MaxFunc(shapes, func(a, b shape) int { return a.streams - b.streams }) // the first of these
		p := plot.New()
		setFont(p)
		p.Title.Text = f.title + ", " + most.String()
		p.Title.Padding = vg.Points(8)
		p.X.Label.Text = f.axis
		p.X.Min = 0
		p.BackgroundColor = color.White
		if err := t.bars(p, most, f.figure, f.label); err != nil {
			return nil, err
		}
		height := vg.Length(len(t.subjects(f.measure)))*22 + 90
		if err := save(p, height, filepath.Join(folder, f.file)); err != nil {
			return nil, err
		}
		files[f.measure] = f.file
	}
	return files, nil
}

// variant is the fonts' of all text.
const variant = "Sans"

func setFont(p *plot.Plot) {
	for _, style := range []*text.Style{&p.Title.TextStyle, &p.X.Label.TextStyle, &p.X.Tick.Label, &p.Y.Tick.Label} {
		style.Font.Variant = variant
	}
	p.Title.TextStyle.Font.Weight = font.WeightBold
}

// save writes a plot with a margin on white.
func save(p *plot.Plot, height vg.Length, file string) error {
	const width, margin = 640, 12
	svg := vgsvg.New(width, height)
	page := draw.New(svg)
	page.SetColor(color.White)
	page.Fill(page.Rectangle.Path())
	p.Draw(draw.Crop(page, margin, -3*margin, margin, -margin)) // on the right there are numbers beside the bars
	var b bytes.Buffer
	if _, err := svg.WriteTo(&b); err != nil {
		return err
	}
	// The font that the text was measured in, and those with the same widths.
	named := bytes.ReplaceAll(b.Bytes(), []byte("font-family:Liberation Sans;"), []byte("font-family:Liberation Sans,Arial,Helvetica,sans-serif;"))
	return os.WriteFile(file, named, 0o666)
}

// bars adds a bar for each subject, the first at the top.
func (t *tables) bars(p *plot.Plot, s shape, figure, format string) error {
	subjects := t.subjects(s.measure)
	slices.Reverse(subjects)
	names, points := make([]string, len(subjects)), make(plotter.XYs, len(subjects))
	labels := make([]string, len(subjects))
	us, them := make(plotter.Values, len(subjects)), make(plotter.Values, len(subjects))
	for i, subject := range subjects {
		names[i] = subject.Name
		value, _ := t.median(s, subject.Name, figure)
		labels[i] = t.cell(s, subject.Name, format, figure)
		points[i] = plotter.XY{X: value, Y: float64(i)}
		if them[i] = value; subject.Ours {
			us[i], them[i] = value, 0
		}
	}
	for _, group := range []struct {
		values plotter.Values
		color  color.Color
	}{{us, ours}, {them, theirs}} {
		bars, err := plotter.NewBarChart(group.values, vg.Points(14))
		if err != nil {
			return err
		}
		bars.Horizontal, bars.Color, bars.LineStyle.Width = true, group.color, 0
		p.Add(bars)
	}
	numbers, err := plotter.NewLabels(plotter.XYLabels{XYs: points, Labels: labels})
	if err != nil {
		return err
	}
	for i := range numbers.TextStyle {
		numbers.TextStyle[i].YAlign = draw.YCenter
		numbers.TextStyle[i].Font.Variant = variant
	}
	numbers.Offset = vg.Point{X: 4, Y: 1.5} // beside the bar, and level with the name
	p.Add(numbers)
	p.NominalY(names...)
	return nil
}
