//go:build unix

// Package postgres runs PostgreSQL servers for tests and measurements: those that Debian
// installs, with a new data directory, on a free port of the loopback interface.
package postgres

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// ErrMissing means that PostgreSQL is not installed.
var ErrMissing = errors.New("there is no PostgreSQL server; with apt: apt-get install postgresql")

const (
	nobody   = 65534           // as which a server runs for root, whom it refuses
	patience = 2 * time.Minute // a guard against hangs: the machine may be busy
)

// A Server is a server, which may be running or not.
type Server struct {
	Port int
	Dir  string // has its data and its log

	settings []string
	process  *exec.Cmd
	ended    chan struct{} // closed when the process has
}

// New makes a server's data in a new directory, and starts it. Settings are such as
// "fsync=off". The superuser is postgres, without a password.
func New(ctx context.Context, settings ...string) (*Server, error) {
	s := &Server{settings: settings}
	var err error
	if s.Dir, err = os.MkdirTemp("", "postgres"); err != nil {
		return nil, err
	}
	err = own(s.Dir)
	if err == nil {
		err = s.Tool(ctx, "initdb", "--pgdata", s.data(), "--username", "postgres", "--auth", "trust", "--no-sync", "--encoding", "UTF8", "--locale", "C")
	}
	if err == nil {
		err = s.Listen(ctx)
	}
	if err == nil {
		err = s.Start(ctx)
	}
	if err != nil {
		s.Remove()
		return nil, err
	}
	return s, nil
}

// Copy returns a server, not started, with a copy of the data of this one, which must not run.
// It has the same port.
func (s *Server) Copy() (*Server, error) {
	dir, err := os.MkdirTemp("", "postgres")
	if err != nil {
		return nil, err
	}
	c := &Server{Port: s.Port, Dir: dir, settings: s.settings}
	return c, errors.Join(own(dir), exec.Command("cp", "-a", s.data(), c.data()).Run()) //nolint:noctx // it takes a moment
}

// Standby returns a server, not started, that follows this one and has a copy of its data. For
// that, this one is stopped and started again. The standby has a port of its own.
func (s *Server) Standby(ctx context.Context) (*Server, error) {
	s.Stop(syscall.SIGINT)
	c, err := s.Copy()
	if err != nil {
		return c, err
	}
	primary := fmt.Sprintf("host=127.0.0.1 port=%d user=postgres", s.Port)
	c.settings = append(slices.Clone(s.settings), "primary_conninfo="+primary)
	signal := os.WriteFile(filepath.Join(c.data(), "standby.signal"), nil, 0o644) // readable by the server's user
	return c, errors.Join(signal, c.Listen(ctx), s.Start(ctx))
}

// Promote makes a standby that runs the primary.
func (s *Server) Promote(ctx context.Context) error {
	return s.Tool(ctx, "pg_ctl", "promote", "--pgdata", s.data(), "--wait")
}

func (s *Server) data() string { return filepath.Join(s.Dir, "data") }

// Listen chooses a free port, from the next start on.
func (s *Server) Listen(ctx context.Context) error {
	l, err := new(net.ListenConfig).Listen(ctx, "tcp4", "127.0.0.1:0")
	if err != nil {
		return err
	}
	s.Port = l.Addr().(*net.TCPAddr).Port
	return l.Close()
}

// URL returns the URL of a database.
func (s *Server) URL(database string) string {
	return fmt.Sprintf("postgres://postgres@127.0.0.1:%d/%s?sslmode=disable", s.Port, database)
}

// Start starts the server, and waits until it accepts connections.
func (s *Server) Start(ctx context.Context) error {
	args := []string{
		"-D", s.data(), "-p", strconv.Itoa(s.Port), "-h", "127.0.0.1", "-k", s.Dir,
		"-c", "logging_collector=off", "-c", "max_connections=500",
	}
	for _, setting := range s.settings {
		args = append(args, "-c", setting)
	}
	name, err := find("postgres")
	if err != nil {
		return err
	}
	log, err := os.OpenFile(filepath.Join(s.Dir, "log"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	defer log.Close() //nolint:errcheck // the process has its own descriptor
	for began := time.Now(); ; {
		s.process = exec.Command(name, args...) //nolint:noctx // it lives until Stop
		s.process.Stdout, s.process.Stderr, s.process.Dir = log, log, s.Dir
		s.process.SysProcAttr = user()
		if err := s.process.Start(); err != nil {
			return err
		}
		process, ended := s.process, make(chan struct{})
		s.ended = ended
		go func() { // until the process ends
			defer close(ended)
			_ = process.Wait() // it has a log
		}()
		for running := true; running; {
			if s.ready() {
				return nil
			}
			if time.Since(began) > patience || ctx.Err() != nil {
				return fmt.Errorf("the server does not start: %s", s.Log())
			}
			select {
			case <-ended: // the processes of a server that was killed may not have ended yet
				running = false
			case <-time.After(10 * time.Millisecond): // until it listens
			}
		}
	}
}

// ready reports whether the server accepts connections, as pg_ctl finds out: by the eighth line
// of a file, whose first line is the process.
func (s *Server) ready() bool {
	file, _ := os.ReadFile(filepath.Join(s.data(), "postmaster.pid")) // that of a server that crashed is another's
	lines := strings.Split(string(file), "\n")
	return len(lines) > 7 && lines[0] == strconv.Itoa(s.PID()) && slices.Contains([]string{"ready", "standby"}, strings.TrimSpace(lines[7]))
}

// PID returns the process of the server, the parent of those of its connections.
func (s *Server) PID() int { return s.process.Process.Pid }

// Stop ends the server: SIGINT cuts all connections, SIGQUIT does without writing what is in
// memory, and SIGKILL is a crash.
func (s *Server) Stop(signal syscall.Signal) {
	if s.process == nil {
		return
	}
	_ = s.process.Process.Signal(signal) // it may have ended
	<-s.ended
	s.process = nil
}

// Remove ends the server and removes its data.
func (s *Server) Remove() {
	s.Stop(syscall.SIGQUIT)
	_ = os.RemoveAll(s.Dir) // a temporary folder
}

// Log returns the end of the server's log.
func (s *Server) Log() string {
	log, _ := os.ReadFile(filepath.Join(s.Dir, "log"))
	return string(log[max(0, len(log)-4000):])
}

// Tool runs one of PostgreSQL's programs.
func (s *Server) Tool(ctx context.Context, name string, args ...string) error {
	name, err := find(name)
	if err != nil {
		return err
	}
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Dir = s.Dir
	cmd.SysProcAttr = user()
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("%s: %w: %s", filepath.Base(name), err, bytes.TrimSpace(out))
	}
	return nil
}

// find returns the path of one of PostgreSQL's programs, of the newest version: Debian has
// them in a folder for each.
func find(name string) (string, error) {
	if path, err := exec.LookPath(name); err == nil && !strings.HasPrefix(path, "/usr/bin/") {
		return path, nil
	}
	paths, _ := filepath.Glob("/usr/lib/postgresql/*/bin/" + name)
	if len(paths) == 0 {
		return "", ErrMissing
	}
	return slices.Max(paths), nil
}

// user returns the attributes of a server's process.
func user() *syscall.SysProcAttr {
	if os.Getuid() != 0 {
		return nil
	}
	return &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: nobody, Gid: nobody}}
}

// own gives a directory to the server's user.
func own(dir string) error {
	if os.Getuid() != 0 {
		return nil
	}
	return os.Chown(dir, nobody, nobody)
}
