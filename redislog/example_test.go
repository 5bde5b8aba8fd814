package redislog_test

import (
	"context"
	"fmt"
	"log"

	"github.com/redis/go-redis/v9"

	"example.org/sse/backplane"
	"example.org/sse/redislog"
)

func Example() {
	ctx := context.Background()
	client := redis.NewClient(&redis.Options{Addr: "localhost:6379", PoolSize: 100})
	defer client.Close()
	cards, err := redislog.Open(ctx, client, "cards", nil)
	if err != nil {
		log.Fatal(err)
	}
	go cards.Follow(ctx, backplane.Newest, func(batch []backplane.Entry, live bool) error {
		for _, e := range batch {
			fmt.Printf("%v %s\n", e.Cursor, e.Data)
		}
		return nil
	})
	if _, err := cards.Append(ctx, "an id of its own", []byte("moved")); err != nil {
		log.Print(err)
	}
}
