package sse_test

import (
	"net/http"
	"testing"

	"example.org/sse"
)

// Streams are refused as http.CrossOriginProtection refuses a POST.
func TestCrossOrigin(t *testing.T) {
	type header map[string]string
	protection := http.NewCrossOriginProtection()
	if err := protection.AddTrustedOrigin("https://trusted.example"); err != nil {
		t.Fatal(err)
	}
	protection.AddInsecureBypassPattern("/public")
	for _, tt := range []struct {
		name, path string
		header     header
		want       int
	}{
		{"the page's own origin", "/", header{"Sec-Fetch-Site": "same-origin"}, 200},
		{"typed in", "/", header{"Sec-Fetch-Site": "none"}, 200},
		{"another site", "/", header{"Sec-Fetch-Site": "cross-site", "Origin": "https://evil.example"}, 403},
		{"another subdomain", "/", header{"Sec-Fetch-Site": "same-site", "Origin": "https://a.memory"}, 403},
		{"no Origin", "/", header{"Sec-Fetch-Site": "cross-site"}, 403},
		{"trusted", "/", header{"Sec-Fetch-Site": "cross-site", "Origin": "https://trusted.example"}, 200},
		{"bypassed", "/public", header{"Sec-Fetch-Site": "cross-site", "Origin": "https://evil.example"}, 200},
		{"old browser, own origin", "/", header{"Origin": "http://memory"}, 200},
		{"old browser, another site", "/", header{"Origin": "https://evil.example"}, 403},
		{"opaque origin", "/", header{"Origin": "null"}, 403},
		{"no browser", "/", nil, 200},
	} {
		t.Run(tt.name, func(t *testing.T) {
			overEach(t, func(t *testing.T, tr transport) {
				limit := new(sse.Limit)
				o := &sse.AcceptOptions{CrossOrigin: protection, Limits: []*sse.Limit{limit}}
				site := tr.serve(t, mount("Serve", o))
				r, _ := http.NewRequestWithContext(t.Context(), "GET", "http://memory"+tt.path, nil)
				for name, value := range tt.header {
					r.Header.Set(name, value)
				}
				response, err := site.client.Do(r)
				if err != nil {
					t.Fatal(err)
				}
				defer response.Body.Close()
				if response.StatusCode != tt.want {
					t.Errorf("status %d, want %d", response.StatusCode, tt.want)
				}
				wantLen(t, limit, "", map[int]int{200: 1}[tt.want])
			})
		})
	}
}

// The protection's own deny handler answers.
func TestCrossOriginDenyHandler(t *testing.T) {
	overEach(t, func(t *testing.T, tr transport) {
		protection := http.NewCrossOriginProtection()
		protection.SetDenyHandler(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(http.StatusTeapot)
		}))
		site := tr.serve(t, mount("Accept", &sse.AcceptOptions{CrossOrigin: protection}))
		st := site.open("Sec-Fetch-Site", "cross-site")
		if got := st.response.StatusCode; got != http.StatusTeapot {
			t.Errorf("status %d, want %d", got, http.StatusTeapot)
		}
	})
}
