package report

import (
	"bytes"
	"image/color"
	"os"
	"slices"
	"strings"

	"golang.org/x/image/font"
	"gonum.org/v1/plot"
	"gonum.org/v1/plot/plotter"
	"gonum.org/v1/plot/text"
	"gonum.org/v1/plot/vg"
	"gonum.org/v1/plot/vg/draw"
	"gonum.org/v1/plot/vg/vgsvg"
)

// Both are readable on the plots' white background, whatever the page's is.
var (
	blue = color.RGBA{R: 0x0b, G: 0x62, B: 0xbd, A: 0xff}
	gray = color.RGBA{R: 0xa6, G: 0xa6, B: 0xa6, A: 0xff}
)

// plot writes a plot of horizontal bars, one for each subject, the first at the top. It
// has the figure with the most streams and the smallest events.
func (r *Results) plot(file, name, measure, spec, axis string) error {
	most := slices.MaxFunc(r.Keys(measure), func(a, b Key) int { return a.N - b.N }) // the first of these
	p := plot.New()
	p.Title.Text, p.X.Label.Text = name+": "+title("streams", most), axis
	p.Title.Padding = vg.Points(8)
	p.Title.TextStyle.Font.Weight = font.WeightBold
	p.X.Min = 0
	p.BackgroundColor = color.White
	names, ends := make([]string, len(r.Rows)), plotter.XYLabels{}
	values := map[bool]plotter.Values{true: make(plotter.Values, len(r.Rows)), false: make(plotter.Values, len(r.Rows))}
	figure, _, _ := strings.Cut(spec, "=")
	for y := range names {
		row := r.Rows[len(r.Rows)-1-y]
		v, _ := r.median(row.Subject, most, figure)
		names[y], values[row.Ours][y] = row.Subject, v
		ends.XYs = append(ends.XYs, plotter.XY{X: v, Y: float64(y)})
		ends.Labels = append(ends.Labels, r.cell(row.Subject, "", most, spec))
	}
	for _, ours := range []bool{true, false} {
		group, err := plotter.NewBarChart(values[ours], vg.Points(14))
		if err != nil {
			return err
		}
		group.Horizontal, group.Color, group.LineStyle.Width = true, gray, 0
		if ours {
			group.Color = blue
		}
		p.Add(group)
	}
	labels, err := plotter.NewLabels(ends)
	if err != nil {
		return err
	}
	labels.Offset = vg.Point{X: 4, Y: 1.5} // beside the bar, and level with the name
	p.Add(labels)
	p.NominalY(names...)
	styles := []*text.Style{&p.Title.TextStyle, &p.X.Label.TextStyle, &p.X.Tick.Label, &p.Y.Tick.Label}
	for i := range labels.TextStyle {
		labels.TextStyle[i].YAlign = draw.YCenter
		styles = append(styles, &labels.TextStyle[i])
	}
	for _, s := range styles {
		s.Font.Variant = "Sans"
	}
	return save(p, vg.Length(len(names))*22+90, file)
}

// save writes a plot with a margin on white.
func save(p *plot.Plot, height vg.Length, file string) error {
	const width, margin = 640, 12
	svg := vgsvg.New(width, height)
	page := draw.New(svg)
	page.SetColor(color.White)
	page.Fill(page.Rectangle.Path())
	p.Draw(draw.Crop(page, margin, -3*margin, margin, -margin)) // the bars' labels are on the right
	var b bytes.Buffer
	if _, err := svg.WriteTo(&b); err != nil {
		return err
	}
	// The font that the text was measured in, and others with the same widths.
	named := bytes.ReplaceAll(b.Bytes(), []byte("font-family:Liberation Sans;"), []byte("font-family:Liberation Sans,Arial,Helvetica,sans-serif;"))
	return os.WriteFile(file, named, 0o666)
}
