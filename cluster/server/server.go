// Package server runs NATS servers for package cluster. A server inside the
// program is for examples, tests, and programs that will run on many machines
// later. If Options.Listen is set, other programs can connect to the server.
// Several servers can form a cluster.
//
// Without a [Keyring], any client may do anything, so the server listens on no
// address, or on an address of this machine only. With a Keyring, the server
// accepts only TLS connections with a key, and may listen on any address. The
// [Role] of a key determines what its holder may do: see docs/security.md.
package server

import (
	"cmp"
	"context"
	"crypto/tls"
	"fmt"
	"net"
	"net/netip"
	"net/url"
	"os"
	"path/filepath"
	"sync"
	"time"

	nats "github.com/nats-io/nats-server/v2/server"

	"concert/internal/filelock"
)

// Server is a server in this process. Make one with [New]. Its methods are safe
// for concurrent use.
type Server struct {
	server   *nats.Server
	options  Options
	issuer   *issuer         // nil without a keyring
	auth     *authenticator  // nil without a keyring
	service  *service        // nil without a keyring
	throttle *throttle       // nil without a keyring
	dir      string          // temporary directory, which Close removes; "" if Options.Dir is set
	dirLock  *os.File        // locked by lockDir; nil for a temporary directory
	ctx      context.Context // ends when Close begins
	stop     context.CancelFunc
	running  sync.WaitGroup
	once     sync.Once // of Close
	closed   error
}

// New starts a server with JetStream. It does not wait for the other servers of
// the cluster. [Server.Setup] waits for them.
func New(opts *Options) (*Server, error) {
	opts = cmp.Or(opts, &Options{})
	if err := opts.Check(); err != nil {
		return nil, err
	}
	if err := opts.checkReachable(); err != nil {
		return nil, err
	}
	s := &Server{options: *opts}
	s.ctx, s.stop = context.WithCancel(context.Background())
	s.options.Sessions = cmp.Or(s.options.Sessions, DefaultSessions)
	s.options.Tasks = cmp.Or(s.options.Tasks, DefaultTasks)
	s.options.Parts = cmp.Or(s.options.Parts, DefaultParts)
	switch {
	case s.options.Connections == 0:
		s.options.Connections = DefaultConnections
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
	} else if err := s.options.checkData(); err != nil {
		s.remove()
		return nil, err
	}
	before := ""
	var holders []Holder
	var err error
	if s.options.Keyring != nil {
		before, _ = s.options.Keyring.state() // read before the holders, so that watchKeyring misses no change
		holders, err = s.options.Keyring.Holders()
	}
	if err == nil {
		err = s.newNATS(holders)
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
		if s.service, err = s.startService(holders); err != nil {
			s.Close()
			return nil, err
		}
		s.running.Go(func() { s.watchKeyring(before) })
		s.running.Go(func() { s.throttle.run(s.service.nc) })
		s.running.Go(s.limitStreams)
	}
	return s, nil
}

// newNATS makes the NATS server.
func (s *Server) newNATS(holders []Holder) error {
	o, err := s.configuration()
	if err != nil {
		return err
	}
	if s.issuer == nil {
		s.server, err = nats.NewServer(o)
		return err
	}
	s.auth = &authenticator{own: s.issuer.public, connections: map[Role]int64{Client: int64(s.options.Connections), Worker: maxCancelReaders}}
	o.CustomClientAuthentication, o.AlwaysEnableNonce = s.auth, true
	if err = s.auth.addAccounts(o, holders); err == nil {
		s.server, err = nats.NewServer(o)
	}
	if err != nil {
		return err
	}
	return s.auth.start(s.server, holders)
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
		at := netip.MustParseAddrPort(s.options.Listen)
		if o.Host, o.Port = at.Addr().String(), int(at.Port()); o.Port == 0 {
			o.Port = nats.RANDOM_PORT
		}
	}
	o.ClientAdvertise = s.options.Advertise
	if s.issuer != nil {
		o.TLS, o.TLSConfig, o.TLSTimeout, o.AuthTimeout = true, s.issuer.clientTLS, 5, 10
	}
	if s.options.Join != nil {
		s.join(o, s.options.Join)
	}
	return o, nil
}

// join configures the server as one of several servers.
func (s *Server) join(o *nats.Options, j *Join) {
	at := netip.MustParseAddrPort(j.Listen)
	o.ServerName = j.Name
	o.Cluster = nats.ClusterOpts{Name: "concert", Host: at.Addr().String(), Port: int(at.Port()), Advertise: j.Advertise, PoolSize: -1,
		// If another server sends nothing, the connection to it ends after ten
		// seconds. With the defaults of NATS, it would end after minutes, and
		// requests to the other server would be lost in this time.
		PingInterval: 3 * time.Second, MaxPingsOut: 2}
	scheme := "nats-route"
	if s.issuer != nil {
		o.Cluster.TLSConfig, o.Cluster.TLSTimeout = s.issuer.serverTLS, 5
		scheme = "tls"
	}
	for _, other := range j.Others {
		o.Routes = append(o.Routes, &url.URL{Scheme: scheme, Host: other})
	}
}

// URL returns the URL to dial, if the server listens. It contains the address
// of Advertise, or the address of Listen if Advertise is empty. If the server
// listens on all addresses of the machine, the URL has the first of Hosts, or
// the name of the machine.
func (s *Server) URL() string {
	u, err := url.Parse(s.server.ClientURL())
	if err != nil { // never, because the server has made the URL
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

// InProcessConn returns a connection to the server, for
// [concert/cluster.Access.InProcess].
func (s *Server) InProcessConn() (net.Conn, error) { return s.server.InProcessConn() }

// Close stops the server. Close its clients and workers first. Otherwise they
// try to reconnect.
func (s *Server) Close() error {
	s.once.Do(func() {
		s.stop()
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
	if filelock.LockUnlessTaken(f) {
		f.Close()
		return fmt.Errorf("server: Options.Dir: another server uses %s: stop it, or choose another directory (it has locked %s)", s.options.Dir, f.Name())
	}
	s.dirLock = f
	return nil
}

// remove unlocks the directory, and removes a temporary directory.
func (s *Server) remove() error {
	if s.dirLock != nil {
		filelock.Unlock(s.dirLock)
		s.dirLock.Close()
	}
	if s.dir == "" {
		return nil
	}
	return os.RemoveAll(s.dir)
}
