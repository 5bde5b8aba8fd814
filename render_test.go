package sse_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	htmltemplate "html/template"
	"io"
	"math"
	"strings"
	"testing"
	"testing/synctest"
	texttemplate "text/template"

	"example.org/sse"
)

func TestJSON(t *testing.T) {
	for _, tt := range []struct {
		value any
		want  string
	}{
		{nil, "null"},
		{"a\r\nb</script>\u2028", `"a\r\nb\u003c/script\u003e\u2028"`},
		{map[string]int{"b": 2, "a": 1}, `{"a":1,"b":2}`},
		{struct {
			N int `json:"n"`
		}{7}, `{"n":7}`},
		{json.RawMessage("{\n\"a\": [1,\n2]\n}"), `{"a":[1,2]}`},
	} {
		if got, err := sse.JSON(tt.value); got != tt.want || err != nil {
			t.Errorf("%v: got %s, error %v; want %s", tt.value, got, err, tt.want)
		}
	}
}

// A component renders parts one by one, and then an error, as templ's do.
type component struct {
	parts []string
	err   error
}

func (c component) Render(ctx context.Context, w io.Writer) error {
	for _, part := range c.parts {
		if _, err := io.WriteString(w, part); err != nil {
			return err
		}
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	return c.err
}

const pages = `not in the data
{{define "list"}}<ul>
{{range .}}  <li>{{.}}</li>

{{end}}</ul>
{{end}}{{define "half"}}<p>{{.}}{{fail}}</p>{{end}}{{define "unsafe"}}<a href={{.}}{{end}}`

var errBoom = errors.New("boom")

var (
	pageFuncs = map[string]any{"fail": func() (string, error) { return "", errBoom }}
	htmlPage  = htmltemplate.Must(htmltemplate.New("page").Funcs(pageFuncs).Parse(pages))
	textPage  = texttemplate.Must(texttemplate.New("page").Funcs(pageFuncs).Parse(pages))
)

// HTML of many lines arrives whole, blank lines and spaces included.
func TestRenderedArrives(t *testing.T) {
	items := []string{"one & two", "three"}
	const escaped = "<ul>\n  <li>one &amp; two</li>\n\n  <li>three</li>\n\n</ul>\n"
	for _, tt := range []struct {
		name   string
		render func() (string, error)
		want   string
	}{
		{"html/template", func() (string, error) { return sse.HTML(htmlPage, "list", items) }, escaped},
		{"text/template", func() (string, error) { return sse.HTML(textPage, "list", items) }, strings.Replace(escaped, "&amp;", "&", 1)},
		{"component", func() (string, error) {
			return sse.Component(t.Context(), component{[]string{"<ul>\n", "", "\n  <li>a</li>\n</ul>", "\n"}, nil})
		}, "<ul>\n\n  <li>a</li>\n</ul>\n"},
		{"an empty component", func() (string, error) { return sse.Component(t.Context(), component{}) }, ""},
		{"JSON", func() (string, error) { return sse.JSON(items) }, `["one \u0026 two","three"]`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			overEach(t, func(t *testing.T, tr transport) {
				var group sse.Set
				st := tr.serve(t, &group).open()
				synctest.Wait()
				data, err := tt.render()
				if data != tt.want || err != nil {
					t.Fatalf("got %q, error %v; want %q", data, err, tt.want)
				}
				group.Dispatch("fragment", data)
				group.CloseAll()
				st.want("fragment|" + tt.want)
				st.wantEnd()
			})
		})
	}
}

// An error is the package's by its prefix, is the cause's by Is and As, and
// comes with nothing that could be sent.
func TestRenderErrors(t *testing.T) {
	gone, leave := context.WithCancel(t.Context())
	leave()
	var (
		unsupportedType  *json.UnsupportedTypeError
		unsupportedValue *json.UnsupportedValueError
		marshaler        *json.MarshalerError
		execution        texttemplate.ExecError
		escaping         *htmltemplate.Error
	)
	is := func(target error) func(error) bool {
		return func(err error) bool { return errors.Is(err, target) }
	}
	as := func(target any) func(error) bool {
		return func(err error) bool { return errors.As(err, target) }
	}
	anything := func(error) bool { return true }
	for _, tt := range []struct {
		name   string
		render func() (string, error)
		wraps  func(error) bool
	}{
		{"JSON of a function", func() (string, error) { return sse.JSON(func() {}) }, as(&unsupportedType)},
		{"JSON of NaN, after a part", func() (string, error) { return sse.JSON([]float64{1, math.NaN()}) }, as(&unsupportedValue)},
		{"JSON of a value that fails, its type", func() (string, error) { return sse.JSON([]failing{{}}) }, as(&marshaler)},
		{"JSON of a value that fails, its cause", func() (string, error) { return sse.JSON([]failing{{}}) }, is(errBoom)},
		{"html/template, half done", func() (string, error) { return sse.HTML(htmlPage, "half", "x") }, is(errBoom)},
		{"text/template, half done", func() (string, error) { return sse.HTML(textPage, "half", "x") }, is(errBoom)},
		{"html/template, its error", func() (string, error) { return sse.HTML(htmlPage, "half", "x") }, as(&execution)},
		{"text/template, its error", func() (string, error) { return sse.HTML(textPage, "half", "x") }, as(&execution)},
		{"html/template, not to be escaped", func() (string, error) { return sse.HTML(htmlPage, "unsafe", "x") }, as(&escaping)},
		{"html/template of no such name", func() (string, error) { return sse.HTML(htmlPage, "", nil) }, anything},
		{"text/template of no such name", func() (string, error) { return sse.HTML(textPage, "other", nil) }, anything},
		{"component", func() (string, error) { return sse.Component(t.Context(), component{nil, errBoom}) }, is(errBoom)},
		{"component, half done", func() (string, error) { return sse.Component(t.Context(), component{[]string{"<p>"}, errBoom}) }, is(errBoom)},
		{"component for nobody", func() (string, error) { return sse.Component(gone, component{[]string{"<p>"}, nil}) }, is(context.Canceled)},
	} {
		got, err := tt.render()
		if got != "" || err == nil || !tt.wraps(err) || !strings.HasPrefix(err.Error(), "sse: ") || strings.Count(err.Error(), "sse: ") != 1 {
			t.Errorf("%s: got %q, error %v", tt.name, got, err)
		}
	}
}

// A failing value has no JSON.
type failing struct{}

func (failing) MarshalJSON() ([]byte, error) { return nil, fmt.Errorf("no: %w", errBoom) }
