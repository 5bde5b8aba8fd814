// Dashboard shows numbers of this process while they change, to everybody. The operator's
// side is /metrics, for Prometheus: the same numbers, and those of all streams.
package main

import (
	"context"
	_ "embed"
	"flag"
	"html/template"
	"log"
	"math"
	"net/http"
	"runtime/metrics"
	"strconv"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"example.org/sse"
	"example.org/sse/browser"
	"example.org/sse/sseprom"
)

//go:embed page.html
var source string

var page = template.Must(template.New("page").Parse(source))

func main() {
	addr := flag.String("addr", "localhost:8080", "address to listen on")
	flag.Parse()
	srv := &http.Server{Addr: *addr, Handler: routes(time.Tick(time.Second))}
	if err := sse.ListenAndServe(context.Background(), srv); err != nil {
		log.Fatal(err)
	}
}

// A meter is one number. Its Type is that of its events.
type meter struct {
	Type, Label string
	read        func() float64
}

var meters = []meter{
	{"goroutines", "Goroutines", measure("/sched/goroutines:goroutines", 1)},
	{"heap", "Heap, MiB", measure("/memory/classes/heap/objects:bytes", 1<<20)},
	{"allocated", "Allocated so far, MiB", measure("/gc/heap/allocs:bytes", 1<<20)},
	{"streams", "Streams", func() float64 { s := sse.ReadStats(); return float64(s.Attached + s.Detached) }},
	{"delivered", "Events delivered", func() float64 { return float64(sse.ReadStats().Delivered.Events) }},
}

// measure returns a function that reads one of the runtime's metrics.
func measure(name string, unit float64) func() float64 {
	return func() float64 {
		sample := []metrics.Sample{{Name: name}}
		metrics.Read(sample)
		return float64(sample[0].Value.Uint64()) / unit
	}
}

func (m meter) event() sse.Event {
	return sse.Event{Type: m.Type, Data: strconv.FormatFloat(math.Round(m.read()*10)/10, 'f', -1, 64)}
}

// routes returns the program's handlers. At each tick the page gets all numbers.
func routes(ticks <-chan time.Time) http.Handler {
	// What is behind is of no interest: a page that reads slowly gets the newest value of
	// each meter, and one that returns gets the values as they are then.
	pages := &sse.Set{History: -1, Slow: sse.LatestPerKey}
	pages.Snapshot = func(*sse.EventSource) (events []sse.Event, err error) {
		for _, m := range meters {
			events = append(events, m.event())
		}
		return events, nil
	}
	go func() {
		for range ticks {
			for _, m := range meters {
				pages.DispatchEvent(m.event())
			}
		}
	}()
	registry := prometheus.NewRegistry()
	registry.MustRegister(sseprom.NewCollector(), collectors.NewGoCollector())
	mux := http.NewServeMux()
	mux.HandleFunc("GET /{$}", func(w http.ResponseWriter, _ *http.Request) {
		if err := page.Execute(w, meters); err != nil {
			log.Print(err)
		}
	})
	mux.Handle("GET /events", pages)
	mux.Handle("GET /eventsource.js", browser.Handler())
	mux.Handle("GET /metrics", promhttp.HandlerFor(registry, promhttp.HandlerOpts{}))
	return mux
}
