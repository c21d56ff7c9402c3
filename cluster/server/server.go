// Package server runs NATS servers for package cluster. A server inside the
// program is for examples, tests, and programs that will run on many machines
// later. If Options.Listen is set, other programs can connect to it. Several
// servers can form a cluster.
//
// Without a [Keyring], any client may do anything, so the server listens on no
// address, or on an address of this machine only. With a Keyring, the server
// accepts only TLS connections with a key, and may listen on any address. The
// [Role] of a key determines what its holder may do; docs/security.md has the
// details.
package server

import (
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"time"

	nats "github.com/nats-io/nats-server/v2/server"
)

// Options configures a Server; nil means the zero value.
type Options struct {
	// Dir is the directory in which the server stores its data. If another
	// server uses it, New returns an error. Empty means a temporary directory,
	// which Close removes.
	Dir string

	// Listen is the address to listen on, such as "127.0.0.1:4222". With port 0
	// the server chooses a free port. Without a Keyring, the address must be
	// one of this machine only. If Listen is empty, the server listens on no
	// address: only [concert/cluster.Access.InProcess] reaches it.
	Listen string

	// SyncAlways makes the server write data through to the disk before it
	// acknowledges them, so a power failure loses no acknowledged data.
	// Otherwise it writes through every two minutes. Then a crash of the
	// process loses nothing, but a power failure of the machine loses the data
	// of up to two minutes. If three servers have separate power supplies, one
	// of them can lose power without a loss of data, in either mode.
	// docs/scale.md gives the cost.
	SyncAlways bool

	// Keyring lists the keys that may use the server. The server reads it again
	// every few seconds. Nil means that any client may use the server.
	Keyring *Keyring

	// Hosts are the names and addresses under which clients reach the server,
	// for its certificate. Nil means the name of this machine, "localhost", and
	// the addresses of this machine. It is used with a Keyring only.
	Hosts []string

	// Advertise is the HOST:PORT at which clients that are connected to another
	// server of the cluster find this one. Set it if it differs from the
	// address of Listen, as behind a proxy or in a container.
	Advertise string

	// Sessions is the maximum number of sessions of a client's key on this
	// server; the server refuses others. An executor has one session, and a
	// second one if it has tasks with ids. Sessions of clients that were lost
	// count for two hours. It is used with a Keyring only. Zero means 64. New
	// returns an error if it is negative.
	Sessions int

	// Connections is the maximum number of connections of a client's key to all
	// servers together; the servers refuse others. An executor has one
	// connection. Workers with one key may have up to 4,096, and admins any
	// number. It is used with a Keyring only. Zero means 128, and negative
	// means no limit.
	Connections int

	// Tasks is the maximum number of tasks that the servers store for a
	// client's key, for all capability sets together; for each set the maximum
	// is 4,096. If there are more, the servers soon remove the oldest ones. The
	// client sends these tasks again, and they fail after the fourth time. It
	// is used with a Keyring only. Zero means 32,768, and negative means no
	// limit.
	Tasks int

	// Parts is the maximum number of parts of large arguments that the servers
	// store for a client, and of parts of its large results for each worker's
	// key. A part has half a megabyte. If there are more, the servers soon
	// remove the oldest ones, and tasks that need them fail. It is used with a
	// Keyring only. Zero means 16,384, which is 8 GiB, and negative means no
	// limit.
	Parts int

	// Join makes the server one of several that form a cluster, which survives
	// the loss of fewer than half of them. It requires Listen.
	Join *Join
}

// Join configures how a server joins other servers. The server listens for them
// at a separate address, with TLS, and accepts servers whose certificate is
// from the same Keyring. All servers have a copy of this Keyring.
type Join struct {
	Name      string   // name of this server; unique among the servers, and the same after a restart
	Listen    string   // address to listen on for other servers, with a fixed port, such as "0.0.0.0:6222"
	Advertise string   // HOST:PORT at which other servers find this one, if it differs from Listen
	Others    []string // addresses at which the other servers listen for servers, such as "two.example:6222"; the own address may be in the list
}

// Server is a server in this process. Make one with [New]. Its methods are safe
// for concurrent use.
type Server struct {
	server   *nats.Server
	options  Options
	issuer   *issuer   // nil without a keyring
	service  *service  // nil without a keyring
	throttle *throttle // nil without a keyring
	dir      string    // temporary directory that Close removes; "" if the user has chosen the directory
	dirLock  *os.File  // locked by lockDir; nil for a temporary directory
	stop     chan struct{}
	running  sync.WaitGroup
	once     sync.Once // of Close
	closed   error
}

// New starts a server with JetStream. It does not wait for the servers that it
// joins; see [Server.Setup].
func New(opts *Options) (*Server, error) {
	if opts == nil {
		opts = &Options{}
	}
	s := &Server{options: *opts, stop: make(chan struct{})}
	if s.options.Sessions < 0 {
		return nil, fmt.Errorf("server: Options.Sessions is %d: want a positive number, or 0 for %d", s.options.Sessions, defaultSessions)
	}
	if s.options.Sessions == 0 {
		s.options.Sessions = defaultSessions
	}
	if s.options.Tasks == 0 {
		s.options.Tasks = defaultTasks
	}
	if s.options.Parts == 0 {
		s.options.Parts = defaultParts
	}
	switch {
	case s.options.Connections == 0:
		s.options.Connections = defaultConnections
	case s.options.Connections < 0:
		s.options.Connections = -1 // as in NATS
	}
	if s.options.Keyring != nil {
		var err error
		if s.issuer, err = newIssuer(s.options.Keyring, s.options.Hosts); err != nil {
			return nil, err
		}
		s.throttle = newThrottle(s)
		s.issuer.clientTLS.GetConfigForClient = func(hello *tls.ClientHelloInfo) (*tls.Config, error) {
			s.throttle.opened(hello.Conn)
			return nil, nil
		}
	}
	if opts.Dir == "" {
		var err error
		if s.dir, err = os.MkdirTemp("", "concert-"); err != nil {
			return nil, fmt.Errorf("server: making a temporary directory: %w", err)
		}
		s.options.Dir = s.dir
	} else if err := os.MkdirAll(opts.Dir, 0o700); err != nil {
		return nil, fmt.Errorf("server: Options.Dir: %w", err)
	} else if err := s.lockDir(); err != nil {
		return nil, err
	}
	before := ""
	if s.options.Keyring != nil {
		before, _ = s.options.Keyring.state() // read before the holders, so that watchKeyring misses no change
	}
	o, err := s.configuration()
	if err == nil {
		s.server, err = nats.NewServer(o)
	}
	if err != nil {
		s.remove()
		return nil, fmt.Errorf("server: %w", err)
	}
	logger := newNATSLogger()
	s.server.SetLogger(logger, false, false)
	s.server.Start()
	if err := s.waitUntilReady(logger); err != nil {
		s.Close()
		return nil, err
	}
	if s.options.Keyring != nil {
		holders, err := s.options.Keyring.Holders()
		if err == nil {
			s.service, err = s.startService(holders)
		}
		if err != nil {
			s.Close()
			return nil, err
		}
		s.running.Go(func() { s.watchKeyring(before) })
		s.running.Go(func() { s.throttle.run(s.service.nc) })
		s.running.Go(s.limitStreams)
	}
	return s, nil
}

// waitUntilReady waits until the server accepts connections. It returns a fatal
// error of the server as soon as the server reports it.
func (s *Server) waitUntilReady(logger *natsLogger) error {
	const limit = 10 * time.Second
	for begin := time.Now(); !logger.ready.Load(); {
		logger.ready.Store(s.server.ReadyForConnections(100 * time.Millisecond))
		select {
		case err := <-logger.fatal:
			return fmt.Errorf("server: cannot start: %w", err)
		default:
		}
		if time.Since(begin) > limit {
			return fmt.Errorf("server: not ready after %v", limit)
		}
	}
	return nil
}

// configuration returns the options of the NATS server.
func (s *Server) configuration() (*nats.Options, error) {
	o := &nats.Options{
		ServerName: "concert", NoSigs: true, NoLog: true, JetStream: true, StoreDir: s.options.Dir, MaxPayload: 1 << 20,
		DontListen: s.options.Listen == "",
	}
	if s.issuer != nil {
		o.MaxControlLine = maxLineBytes
		o.StreamMaxBufferedSize = maxQueueBytes
	}
	o.SyncAlways = s.options.SyncAlways
	o.JetStreamLimits.DefaultMaxConsumers = maxConsumers // sessions are consumers; the default is a thousand
	if s.options.Listen != "" {
		at, err := address(s.options.Listen)
		if err != nil {
			return nil, err
		}
		if s.issuer == nil && !at.Addr().IsLoopback() {
			return nil, fmt.Errorf("other machines can reach %s, and without a keyring the server would accept any client: use a keyring, or an address like 127.0.0.1", s.options.Listen)
		}
		if o.Host, o.Port = at.Addr().String(), int(at.Port()); o.Port == 0 {
			o.Port = nats.RANDOM_PORT
		}
	}
	var err error
	if o.ClientAdvertise, err = checkAdvertise(s.options.Advertise); err != nil {
		return nil, err
	}
	if s.issuer != nil {
		o.TLS, o.TLSConfig, o.TLSTimeout, o.AuthTimeout = true, s.issuer.clientTLS, 5, 10
		holders, err := s.options.Keyring.Holders()
		if err != nil {
			return nil, err
		}
		if err := s.configure(o, s.issuer.public, holders); err != nil {
			return nil, err
		}
	}
	if j := s.options.Join; j != nil {
		if err := s.join(o, j); err != nil {
			return nil, err
		}
	}
	return o, nil
}

// address parses an address to listen on.
func address(text string) (netip.AddrPort, error) {
	at, err := netip.ParseAddrPort(text)
	if err != nil {
		return at, fmt.Errorf("the address to listen on, %q: want one like 127.0.0.1:4222, or 0.0.0.0:4222 for all of this machine", text)
	}
	return at, nil
}

// checkAdvertise checks an advertised address, which may be empty.
func checkAdvertise(at string) (string, error) {
	if at == "" {
		return "", nil
	}
	if host, port, err := net.SplitHostPort(at); err != nil || host == "" || port == "" {
		return "", fmt.Errorf("the address to advertise, %q: want HOST:PORT", at)
	}
	return at, nil
}

// isHostPort reports whether an address consists of a host and a port number
// from 1 to 65535.
func isHostPort(at string) bool {
	host, port, err := net.SplitHostPort(at)
	if err != nil || host == "" {
		return false
	}
	n, err := strconv.ParseUint(port, 10, 16)
	return err == nil && n > 0
}

// join configures the server as one of several.
func (s *Server) join(o *nats.Options, j *Join) error {
	at, err := address(j.Listen)
	switch {
	case err != nil:
		return err
	case s.options.Listen == "": // NATS would wait for its first listener forever
		return errors.New("a server that joins others needs an address to listen on for clients")
	case at.Port() == 0:
		return fmt.Errorf("the address to listen on for other servers, %s, has no fixed port", j.Listen)
	case s.issuer == nil && !at.Addr().IsLoopback():
		return fmt.Errorf("other machines can reach %s, and without a keyring any server could join", j.Listen)
	case j.Name == "" || strings.ContainsAny(j.Name, " .*>/\\"):
		return fmt.Errorf("the name of the server, %q: want one without blanks, dots and slashes", j.Name)
	case len(j.Others) < 2:
		return errors.New("a server must join at least two others: with two servers, none can continue without the other")
	}
	o.ServerName = j.Name
	o.Cluster = nats.ClusterOpts{Name: "concert", Host: at.Addr().String(), Port: int(at.Port()), PoolSize: -1,
		// A server that sends nothing is disconnected after ten seconds instead
		// of minutes, during which requests may be sent to it.
		PingInterval: 3 * time.Second, MaxPingsOut: 2}
	if o.Cluster.Advertise, err = checkAdvertise(j.Advertise); err != nil {
		return err
	}
	scheme := "nats-route"
	if s.issuer != nil {
		o.Cluster.TLSConfig, o.Cluster.TLSTimeout = s.issuer.serverTLS, 5
		scheme = "tls"
	}
	for _, other := range j.Others {
		if !isHostPort(other) {
			return fmt.Errorf("the server to join, %q: want HOST:PORT", other)
		}
		o.Routes = append(o.Routes, &url.URL{Scheme: scheme, Host: other})
	}
	return nil
}

// URL returns the URL to dial, if the server listens: with the address of
// Advertise, or else of Listen. If the server listens on all addresses of the
// machine, the URL has the first of Hosts, or the name of the machine.
func (s *Server) URL() string {
	u, err := url.Parse(s.server.ClientURL())
	if err != nil { // the server has made it
		return s.server.ClientURL()
	}
	switch ip, err := netip.ParseAddr(u.Hostname()); {
	case s.options.Advertise != "":
		u.Host = s.options.Advertise
	case err == nil && ip.IsUnspecified() && len(s.options.Hosts) > 0:
		u.Host = net.JoinHostPort(s.options.Hosts[0], u.Port())
	case err == nil && ip.IsUnspecified():
		if name, err := os.Hostname(); err == nil {
			u.Host = net.JoinHostPort(name, u.Port())
		}
	}
	return u.String()
}

// InProcessConn returns a connection to the server; it is for
// [concert/cluster.Access.InProcess].
func (s *Server) InProcessConn() (net.Conn, error) { return s.server.InProcessConn() }

// Close stops the server. Close its clients and workers first, because they
// would try to reconnect.
func (s *Server) Close() error {
	s.once.Do(func() {
		close(s.stop)
		s.running.Wait()
		if s.service != nil {
			s.service.close()
		}
		s.server.Shutdown()
		s.server.WaitForShutdown()
		if s.throttle != nil {
			s.throttle.pacing.Wait()
		}
		s.closed = s.remove()
	})
	return s.closed
}

// lockDir locks the directory, because two servers that write to one directory
// would damage the stored data. The lock ends with the process.
func (s *Server) lockDir() error {
	f, err := os.OpenFile(filepath.Join(s.options.Dir, lockedFile), os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return fmt.Errorf("server: Options.Dir: %w", err)
	}
	if err := tryLockFile(f); err != nil && !errors.Is(err, errors.ErrUnsupported) {
		f.Close()
		return fmt.Errorf("server: Options.Dir: another server uses %s: stop it, or choose another directory (locking %s: %w)", s.options.Dir, f.Name(), err)
	}
	s.dirLock = f
	return nil
}

// remove unlocks the directory, and removes a temporary directory.
func (s *Server) remove() error {
	if s.dirLock != nil {
		s.dirLock.Close()
	}
	if s.dir == "" {
		return nil
	}
	return os.RemoveAll(s.dir)
}
