package board

import (
	"context"
	"fmt"
	"log"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/shirou/gopsutil/v4/cpu"

	"example.org/sse"
)

// samples is the number of samples that the charts show, one per second.
const samples = 60

// A machine measures the computer that the demo runs on, and this process's streams and
// events, once per second.
type machine struct {
	views *views

	mu        sync.Mutex
	cpu       []float64 // in percent, the newest last
	streams   []float64
	events    []float64 // delivered per second
	delivered uint64    // since the process began
	measured  time.Time
}

func newMachine(v *views) *machine {
	return &machine{views: v, delivered: sse.ReadStats().Delivered.Events, measured: time.Now()}
}

// run measures until ctx is done, and sends the charts after each sample.
func (m *machine) run(ctx context.Context, send func(region, html string)) {
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	for {
		if err := m.measure(ctx); err != nil {
			if ctx.Err() == nil {
				log.Printf("measuring the machine failed; its charts stop here: %v", err)
			}
			return
		}
		send("machine", m.html())
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

// measure takes one sample.
func (m *machine) measure(ctx context.Context) error {
	busy, err := cpu.PercentWithContext(ctx, 0, false) // since the last call
	if err != nil {
		return err
	}
	stats := sse.ReadStats()
	m.mu.Lock()
	defer m.mu.Unlock()
	m.cpu = push(m.cpu, min(max(busy[0], 0), 100))
	m.streams = push(m.streams, float64(stats.Attached+stats.Detached))
	now := time.Now()
	m.events = push(m.events, float64(stats.Delivered.Events-m.delivered)/now.Sub(m.measured).Seconds())
	m.delivered, m.measured = stats.Delivered.Events, now
	return nil
}

// push appends a sample and drops those that the chart no longer shows.
func push(list []float64, v float64) []float64 {
	list = append(list, v)
	return list[max(len(list)-samples, 0):]
}

// A chart is a line over the last minute, drawn on a grid of 60 by 100.
type chart struct {
	Name, Value, Detail string
	Class               string
	Line                []point
}

// A point is on a chart's line. Y grows downwards.
type point struct{ X, Y float64 }

// newChart returns the chart of samples, from 0 to top.
func newChart(class, name, detail, unit string, top float64, list []float64) chart {
	c := chart{Class: class, Name: name, Detail: detail, Value: "–"}
	for i, v := range list {
		c.Line = append(c.Line, point{X: float64(samples - len(list) + i), Y: 100 - 100*v/top})
		c.Value = fmt.Sprintf("%.0f%s", v, unit)
	}
	return c
}

// above returns the top of a chart that has room above its highest sample.
func above(list []float64) float64 { return 1.25 * slices.Max(append([]float64{1}, list...)) }

// Path returns the line as the data of an SVG path.
func (c chart) Path() string {
	var b strings.Builder
	for i, p := range c.Line {
		fmt.Fprintf(&b, "%c%g,%.1f ", "ML"[min(i, 1)], p.X, p.Y)
	}
	return strings.TrimSpace(b.String())
}

// First returns the X of the line's first point.
func (c chart) First() float64 {
	if len(c.Line) == 0 {
		return samples - 1
	}
	return c.Line[0].X
}

// html returns the charts as they are now.
func (m *machine) html() string {
	m.mu.Lock()
	charts := []chart{
		newChart("cpu", "Processor", "the last minute", "%", 100, m.cpu),
		newChart("streams", "Streams", "open now", "", above(m.streams), m.streams),
		newChart("events", "Events", "delivered per second", "", above(m.events), m.events),
	}
	m.mu.Unlock()
	return m.views.html("machine", charts)
}
