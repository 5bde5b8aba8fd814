package browser_test

import (
	"net/http/httptest"
	"testing"

	"example.org/sse/browser"
)

func TestHandler(t *testing.T) {
	w := httptest.NewRecorder()
	browser.Handler().ServeHTTP(w, httptest.NewRequest("GET", "/eventsource.js", nil))
	tag := w.Header().Get("ETag")
	if w.Code != 200 || w.Body.String() != browser.Source() || w.Header().Get("Content-Type") != "text/javascript; charset=utf-8" || tag == "" {
		t.Errorf("got %d %v and %d bytes; want 200, JavaScript, a tag, and %d bytes", w.Code, w.Header(), w.Body.Len(), len(browser.Source()))
	}
	for _, tt := range []struct {
		method, match string
		want          int
	}{{"GET", tag, 304}, {"GET", `"another"`, 200}, {"HEAD", "", 200}, {"POST", "", 405}} {
		r := httptest.NewRequest(tt.method, "/eventsource.js", nil)
		r.Header.Set("If-None-Match", tt.match)
		w := httptest.NewRecorder()
		browser.Handler().ServeHTTP(w, r)
		if w.Code != tt.want {
			t.Errorf("%s, If-None-Match %s: got %d, want %d", tt.method, tt.match, w.Code, tt.want)
		}
	}
}
