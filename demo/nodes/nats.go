package main

import (
	"errors"
	"os"
	"time"

	"github.com/nats-io/nats-server/v2/server"
)

// startNATS starts a NATS server in this process, with its files in a folder that stop
// removes. A site that must survive the loss of a machine needs three servers, in
// processes of their own.
func startNATS() (url string, stop func(), err error) {
	dir, err := os.MkdirTemp("", "demo-nats")
	if err != nil {
		return "", nil, err
	}
	s, err := server.NewServer(&server.Options{
		Host: "127.0.0.1", Port: server.RANDOM_PORT, JetStream: true, StoreDir: dir, NoLog: true, NoSigs: true,
	})
	if err != nil {
		return "", nil, errors.Join(err, os.RemoveAll(dir))
	}
	s.Start()
	stop = func() {
		s.Shutdown()
		s.WaitForShutdown()
		_ = os.RemoveAll(dir) // a temporary folder
	}
	if !s.ReadyForConnections(10 * time.Second) {
		stop()
		return "", nil, errors.New("not ready after 10 s")
	}
	return s.ClientURL(), stop, nil
}
