// Promhttp counts requests, and open streams, with github.com/prometheus/client_golang.
package main

import (
	"context"
	"flag"
	"log"
	"net/http"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"example.org/sse"
	"example.org/sse/examples/internal/app"
	"example.org/sse/sseprom"
)

func main() {
	addr := flag.String("addr", "localhost:8080", "address to listen on")
	flag.Parse()
	srv := &http.Server{Addr: *addr, Handler: routes(new(sse.Set), app.Parrot)}
	if err := sse.ListenAndServe(context.Background(), srv); err != nil {
		log.Fatal(err)
	}
}

func routes(news *sse.Set, model app.Model) http.Handler {
	registry := prometheus.NewRegistry()
	duration := prometheus.NewHistogramVec(prometheus.HistogramOpts{
		Name: "http_request_duration_seconds",
	}, []string{"code", "method"})
	// A detached stream is not in flight, so the package counts them itself.
	registry.MustRegister(duration, sseprom.NewCollector())
	mux := http.NewServeMux()
	mux.Handle("/", promhttp.InstrumentHandlerDuration(duration, app.Routes(news, model)))
	mux.Handle("GET /metrics", promhttp.HandlerFor(registry, promhttp.HandlerOpts{}))
	return mux
}
