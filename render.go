package sse

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"strings"
)

// JSON returns v as JSON, ready to be an event's data. It fails as
// [json.Marshal] does.
func JSON(v any) (string, error) {
	b, err := json.Marshal(v)
	if err != nil {
		return "", fmt.Errorf("sse: %w", err)
	}
	return string(b), nil
}

// HTML returns what a template makes of data, ready to be an event's data,
// however many lines it has. Template is an html/template or text/template; the
// name is that of the template to execute within its set. It fails as
// ExecuteTemplate does, and then nothing half done is left to be sent.
func HTML(template interface {
	ExecuteTemplate(w io.Writer, name string, data any) error
}, name string, data any) (string, error) {
	var b strings.Builder
	if err := template.ExecuteTemplate(&b, name, data); err != nil {
		return "", fmt.Errorf("sse: %w", err)
	}
	return b.String(), nil
}

// Component returns what a component renders, ready to be an event's data,
// however many lines it has. Every templ component is one. It fails as Render
// does.
func Component(ctx context.Context, component interface {
	Render(ctx context.Context, w io.Writer) error
}) (string, error) {
	var b strings.Builder
	if err := component.Render(ctx, &b); err != nil {
		return "", fmt.Errorf("sse: %w", err)
	}
	return b.String(), nil
}
