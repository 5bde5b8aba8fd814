package natslog_test

import (
	"context"
	"fmt"
	"log"
	"time"

	"github.com/nats-io/nats.go"

	"example.org/sse/backplane"
	"example.org/sse/natslog"
)

func Example() {
	nc, err := nats.Connect("nats://a,nats://b,nats://c", natslog.ConnOptions()...)
	if err != nil {
		log.Fatal(err)
	}
	defer nc.Close()
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	cards, err := natslog.Open(ctx, nc, "cards", nil)
	if err != nil {
		log.Fatal(err)
	}
	if _, err := cards.Append(ctx, "some unique id", []byte("hello")); err != nil {
		log.Print(err) // backplane.ErrIndeterminate: call it again, with the same id
	}
	err = cards.Follow(ctx, backplane.Oldest, func(batch []backplane.Entry, _ bool) error {
		for _, e := range batch {
			fmt.Println(e.Cursor, string(e.Data))
		}
		return nil
	})
	log.Print(err)
}
