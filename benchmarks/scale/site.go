package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"concert/cluster"
	"concert/cluster/server"
	"concert/goroutines"
)

const roleVariable = "SCALE_ROLE"

// roles has the main functions of the processes that the benchmark starts, by
// the name of the role. The process that starts and measures the other
// processes has no role.
var roles = map[string]func() error{"server": beServer, "workers": beWorkers}

// site is the set of processes that a run of the benchmark starts.
type site struct {
	dir          string
	url          string
	client, work cluster.Access
	names        []string // the names of the processes, in the order of their start
	processes    map[string]*process
	watch        *nats.Conn // a connection for statistics of the streams; nil if clients need keys
}

type process struct {
	cmd *exec.Cmd
	in  io.Closer
}

// newSite starts the servers.
func newSite(s *settings) (_ *site, err error) {
	dir, err := os.MkdirTemp("", "scale-")
	if err != nil {
		return nil, err
	}
	site := &site{dir: dir, processes: map[string]*process{}}
	defer func() {
		if err != nil {
			site.close()
		}
	}()
	ring := ""
	if s.keys {
		ring = filepath.Join(dir, "keyring")
		if err := site.keys(ring); err != nil {
			return nil, err
		}
	}
	var urls []string
	addresses, err := freeAddresses(s.servers)
	if err != nil {
		return nil, err
	}
	lines := make([]*bufio.Reader, s.servers)
	for i := range s.servers {
		others := append([]string{addresses[i]}, append(append([]string{}, addresses[:i]...), addresses[i+1:]...)...)
		name := fmt.Sprint("server", i+1)
		join := ""
		if s.servers > 1 {
			join = strings.Join(others, ",")
		}
		if lines[i], err = site.start(name, "server", "SCALE_DIR="+filepath.Join(dir, name), "SCALE_KEYRING="+ring, "SCALE_NAME="+name, "SCALE_JOIN="+join, fmt.Sprint("SCALE_SYNC=", s.sync)); err != nil {
			return nil, err
		}
	}
	for i, r := range lines {
		line, err := r.ReadString('\n')
		if err != nil {
			return nil, fmt.Errorf("server %d: %w", i+1, err)
		}
		urls = append(urls, strings.TrimSpace(line))
	}
	site.url = strings.Join(urls, ",")
	if !s.keys {
		if err := cluster.Setup(context.Background(), site.url, s.servers, nil); err != nil {
			return nil, err
		}
		site.watch, err = nats.Connect(site.url)
	}
	return site, err
}

// keys makes a key for the workers and one for the clients.
func (s *site) keys(dir string) error {
	k, err := server.NewKeyring(dir)
	if err != nil {
		return err
	}
	for role, access := range map[server.Role]*cluster.Access{server.Client: &s.client, server.Worker: &s.work} {
		text, err := k.Add(role, string(role))
		if err != nil {
			return err
		}
		access.Key = filepath.Join(s.dir, string(role)+".key")
		if err := os.WriteFile(access.Key, text, 0o600); err != nil {
			return err
		}
	}
	return nil
}

func freeAddresses(n int) (all []string, err error) {
	for range n {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			return nil, err
		}
		defer l.Close()
		all = append(all, l.Addr().String())
	}
	return all, nil
}

// start starts this program as a process with a role, and returns a reader of
// its output.
func (s *site) start(name, role string, env ...string) (*bufio.Reader, error) {
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(append(os.Environ(), env...), roleVariable+"="+role)
	cmd.Stderr = os.Stderr
	in, err := cmd.StdinPipe()
	if err != nil {
		return nil, err
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	s.names = append(s.names, name)
	s.processes[name] = &process{cmd, in}
	return bufio.NewReader(out), nil
}

// startWorkers starts the process with the workers, and waits until all workers
// are listed.
func (s *site) startWorkers(o *settings) error {
	out, err := s.start("workers", "workers", "SCALE_URL="+s.url, "SCALE_KEY="+s.work.Key, fmt.Sprint("SCALE_WORKERS=", o.workers), fmt.Sprint("SCALE_SLOTS=", o.slots))
	if err != nil {
		return err
	}
	if line, err := out.ReadString('\n'); err != nil || line != "ready\n" {
		return fmt.Errorf("the process of the workers printed %q instead of ready: %w", line, err)
	}
	return nil
}

// close ends all processes, in the reverse order of their start, and removes
// their files.
func (s *site) close() {
	if s.watch != nil {
		s.watch.Close()
	}
	for i := len(s.names) - 1; i >= 0; i-- {
		p := s.processes[s.names[i]]
		p.in.Close()
		if err := p.cmd.Wait(); err != nil {
			fmt.Fprintf(os.Stderr, "%s: %v\n", s.names[i], err)
		}
	}
	os.RemoveAll(s.dir)
}

// leaders returns the names of the servers that lead the stream of tasks and
// the stream of results. The names are empty if clients need keys.
func (s *site) leaders() (leaders [2]string) {
	if s.watch == nil {
		return leaders
	}
	js, err := jetstream.New(s.watch)
	if err != nil {
		return leaders
	}
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	for i, name := range []string{"CONCERT_TASKS", "CONCERT_RESULTS"} {
		if stream, err := js.Stream(ctx, name); err == nil && stream.CachedInfo().Cluster != nil {
			leaders[i] = stream.CachedInfo().Cluster.Leader
		}
	}
	return leaders
}

// beServer runs a server until the standard input of this process ends.
func beServer() error {
	opts := &server.Options{Dir: os.Getenv("SCALE_DIR"), Listen: "127.0.0.1:0", SyncAlways: os.Getenv("SCALE_SYNC") == "true"}
	replicas := 1
	ring := os.Getenv("SCALE_KEYRING")
	if ring != "" {
		var err error
		if opts.Keyring, err = server.OpenKeyring(ring); err != nil {
			return err
		}
	}
	if join := os.Getenv("SCALE_JOIN"); join != "" { // the addresses of all servers, with this one first
		all := strings.Split(join, ",")
		opts.Join, replicas = &server.Join{Name: os.Getenv("SCALE_NAME"), Listen: all[0], Others: all[1:]}, len(all)
	}
	s, err := server.New(opts)
	if err != nil {
		return err
	}
	defer s.Close()
	if ring != "" {
		if err := s.Setup(context.Background(), replicas); err != nil {
			return err
		}
	}
	fmt.Println(s.URL())
	_, err = io.Copy(io.Discard, os.Stdin)
	return err
}

// beWorkers runs many workers until the standard input of this process ends.
func beWorkers() error {
	var workers, slots int
	if _, err := fmt.Sscan(os.Getenv("SCALE_WORKERS")+" "+os.Getenv("SCALE_SLOTS"), &workers, &slots); err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(context.Background())
	go func() {
		io.Copy(io.Discard, os.Stdin)
		cancel()
	}()
	errs := make([]error, workers)
	var all, ready sync.WaitGroup
	ready.Add(workers)
	begin := make(chan struct{}, 64) // limits the number of workers that connect at the same time, because a server needs some time to check the signature of each key
	for i := range workers {
		all.Go(func() {
			begin <- struct{}{}
			pool := goroutines.New(slots, nil)
			defer pool.Close()
			errs[i] = cluster.Serve(ctx, os.Getenv("SCALE_URL"), pool, &cluster.ServeOptions{
				Access: cluster.Access{Key: os.Getenv("SCALE_KEY")}, Slots: slots, Ready: func() {
					<-begin
					ready.Done()
				},
			})
			if errs[i] != nil {
				fmt.Fprintf(os.Stderr, "worker %d: %v\n", i, errs[i])
				cancel()
			}
		})
	}
	go func() {
		ready.Wait()
		fmt.Println("ready")
	}()
	all.Wait()
	return errors.Join(errs...)
}
