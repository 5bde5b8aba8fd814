// Package sseprom exports the numbers of package sse to Prometheus.
//
//	prometheus.MustRegister(sseprom.NewCollector())
//
// They are those of [sse.ReadStats], of the whole process, and cost nothing between two
// scrapes. A process has 60 series at most, however many streams, sets or hubs it has.
// dashboard.json, in this package's directory, is a dashboard for Grafana.
//
// Numbers of single sets, of a kind of users for example, are the program's to choose:
// [sse.Set] calls Joined and Left.
package sseprom

import (
	"github.com/prometheus/client_golang/prometheus"

	"example.org/sse"
)

// NewCollector returns a collector of the process's numbers. Register one, with one
// registry. It may be used concurrently.
func NewCollector() prometheus.Collector { return collector{} }

type collector struct{}

// A metric is one metric and the label that it has, if any.
type metric struct {
	desc *prometheus.Desc
	kind prometheus.ValueType
}

func counter(name, help string, labels ...string) metric {
	return metric{prometheus.NewDesc(name, help, labels, nil), prometheus.CounterValue}
}

func gauge(name, help string, labels ...string) metric {
	return metric{prometheus.NewDesc(name, help, labels, nil), prometheus.GaugeValue}
}

var (
	streams     = gauge("sse_streams", "Open streams, attached to a handler that waits or detached from it.", "kind")
	opened      = counter("sse_streams_opened_total", "Streams that were opened.")
	ended       = counter("sse_streams_ended_total", "Streams that have ended, by the reason.", "reason")
	notDetached = counter("sse_streams_not_detached_total", "Streams that could not be detached, by what kept them from it.", "reason")

	dispatched      = counter("sse_dispatched_events_total", "Events that were dispatched to sets.")
	dispatchedBytes = counter("sse_dispatched_bytes_total", "Bytes on the wire of the events that were dispatched to sets.")
	addressed       = counter("sse_addressed_events_total", "Events, once for each stream that they are for.")
	addressedBytes  = counter("sse_addressed_bytes_total", "Bytes of these events.")
	done            = counter("sse_finished_events_total", "Addressed events that no longer wait, by what has become of them.", "outcome")
	doneBytes       = counter("sse_finished_bytes_total", "Bytes of these events.", "outcome")
	pending         = gauge("sse_pending_events", "Addressed events that wait.")
	pendingBytes    = gauge("sse_pending_bytes", "Bytes of these events.")

	compressed      = counter("sse_compressed_events_total", "Events that were sent to compressed streams, by the piece that they became.", "piece")
	compressedBytes = counter("sse_compressed_bytes_total", "Bytes of these pieces.", "piece")
	uncompressed    = counter("sse_uncompressed_bytes_total", "Bytes of the same events without compression.")

	joins     = counter("sse_joins_total", "Sources that joined a set and were sent kept events, by why.", "kind")
	snapshots = counter("sse_snapshots_total", "Snapshots that were made for clients.")
	gaps      = counter("sse_gaps_total", "Gaps that were reported to clients.")
	latency   = prometheus.NewDesc("sse_dispatch_latency_seconds", "From a dispatch until the members of its set have been written to; one of 16 is measured.", nil, nil)

	logs      = gauge("sse_logs", "Logs that hubs follow.")
	behind    = gauge("sse_logs_behind", "Logs that are not being followed, or whose history is not here yet.")
	follows   = counter("sse_log_follows_total", "How often following a log began, or began again.")
	logErrors = counter("sse_log_errors_total", "Failures to follow a log, or to append to it.")
	logGaps   = counter("sse_log_gaps_total", "Gaps in logs.")
	lag       = gauge("sse_log_lag_seconds", "How long the last event took to come back from its log.")
)

var all = []metric{
	streams, opened, ended, notDetached, dispatched, dispatchedBytes, addressed, addressedBytes, done, doneBytes,
	pending, pendingBytes, compressed, compressedBytes, uncompressed, joins, snapshots, gaps, logs, behind, follows, logErrors, logGaps, lag,
}

// Describe implements [prometheus.Collector].
func (collector) Describe(ch chan<- *prometheus.Desc) {
	for _, m := range all {
		ch <- m.desc
	}
	ch <- latency
}

// Collect implements [prometheus.Collector].
func (collector) Collect(ch chan<- prometheus.Metric) {
	s := sse.ReadStats()
	send := func(m metric, value float64, labels ...string) {
		ch <- prometheus.MustNewConstMetric(m.desc, m.kind, value, labels...)
	}
	send(streams, float64(s.Attached), "attached")
	send(streams, float64(s.Detached), "detached")
	send(opened, float64(s.Opened))
	for reason, n := range s.Ended {
		send(ended, float64(n), reason)
	}
	for reason, n := range s.NotDetached {
		send(notDetached, float64(n), reason)
	}
	volume := func(events, bytes metric, v sse.Volume, labels ...string) {
		send(events, float64(v.Events), labels...)
		send(bytes, float64(v.Bytes), labels...)
	}
	volume(dispatched, dispatchedBytes, s.Dispatched)
	volume(addressed, addressedBytes, s.Addressed)
	volume(done, doneBytes, s.Delivered, "delivered")
	volume(done, doneBytes, s.Skipped, "skipped")
	volume(done, doneBytes, s.Hidden, "hidden")
	volume(done, doneBytes, s.Unsent, "unsent")
	volume(pending, pendingBytes, s.Pending)
	volume(compressed, compressedBytes, s.Compression.Shared, "shared")
	volume(compressed, compressedBytes, s.Compression.Own, "own")
	volume(compressed, compressedBytes, s.Compression.Stored, "stored")
	send(uncompressed, float64(s.Compression.Plain))
	send(joins, float64(s.Resumed), "resumed")
	send(joins, float64(s.Replayed), "replayed")
	send(snapshots, float64(s.Snapshots))
	send(gaps, float64(s.Gaps))
	send(logs, float64(s.Logs.Followed))
	send(behind, float64(s.Logs.Behind))
	send(follows, float64(s.Logs.Follows))
	send(logErrors, float64(s.Logs.Errors))
	send(logGaps, float64(s.Logs.Gaps))
	send(lag, s.Logs.Lag.Seconds())
	collectLatency(ch, s)
}

// collectLatency sends the histogram, whose buckets count what is in those before, too.
func collectLatency(ch chan<- prometheus.Metric, s sse.Stats) {
	total, buckets := uint64(0), make(map[float64]uint64)
	for _, b := range s.Latency {
		total += b.Count
		if b.UpTo > 0 {
			buckets[b.UpTo.Seconds()] = total
		}
	}
	ch <- prometheus.MustNewConstHistogram(latency, total, s.LatencySum.Seconds(), buckets)
}
