package e2e

import (
	"errors"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"example.org/sse/natslog"
)

// A password that is wrong for a while, twice in a row, does not end the connection.
func TestNATSPassword(t *testing.T) {
	b := startBroker(t, 1)
	b.stop(0)
	b.options[0].Username, b.options[0].Password = "ann", "secret"
	b.start(0)
	url := b.servers[0].ClientURL()
	refused := make(chan error, 1000)
	nc, err := nats.Connect(url, append(natslog.ConnOptions(), nats.UserInfo("ann", "secret"),
		nats.ErrorHandler(func(_ *nats.Conn, _ *nats.Subscription, err error) { refused <- err }))...)
	if err != nil {
		t.Fatal(err)
	}
	defer nc.Close()
	log, err := natslog.Open(t.Context(), nc, "log", nil)
	if err != nil {
		t.Fatal(err)
	}
	b.stop(0)
	b.options[0].Password = "another"
	b.start(0)
	for n := 0; n < 4; { // the connection is aborted after two
		select {
		case err := <-refused:
			if !errors.Is(err, nats.ErrAuthorization) {
				t.Errorf("got error %v, want %v", err, nats.ErrAuthorization)
			}
			n++
		case <-time.After(patience):
			t.Fatalf("got %d refused logins, status %v; want 4", n, nc.Status())
		}
	}
	b.stop(0)
	b.options[0].Password = "secret"
	b.start(0)
	if _, err := log.Append(t.Context(), "1", []byte("x")); err != nil {
		t.Error(err)
	}
}
