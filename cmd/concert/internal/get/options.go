package get

import (
	"cmp"
	"fmt"
	"strings"
	"time"

	"concert/cmd/concert/internal/cli"
	"concert/cmd/concert/internal/web"
	"concert/download"
)

// options has the values of the flags.
type options struct {
	// Files.
	dir, output          string
	sha256               string
	digests, mirrors     cli.Texts
	serverName, urlDirs  bool
	keep, update         bool
	overwrite, isDryRun  bool
	list, checksums      string
	headers              cli.Texts
	userAgent, auth      string
	cookies, proxy       string
	cacert               string
	http1, allowInsecure bool

	// Limits, retries and output.
	jobs, perHost, connections int
	limitRate, minSpeed        byteRate
	connect, header, stall     time.Duration
	maxTime                    time.Duration
	retries                    int
	retryDelay, retryMaxTime   time.Duration
	json, quiet                bool
	trace                      string
	web                        web.Flag
}

// flags sets o to the defaults, and returns the flags that change it.
func (o *options) flags() *cli.Flags {
	*o = options{
		dir: ".", jobs: 16, perHost: 6, connections: 1, retries: 4, retryDelay: time.Second, retryMaxTime: time.Minute,
		connect: 30 * time.Second, header: 30 * time.Second, stall: 30 * time.Second,
	}
	f := cli.NewFlags()
	f.Group("Files")
	f.Add(&o.dir, "d", "DIR", "directory for the files, created if missing")
	f.Add(&o.output, "o", "FILE", "name of the file, for one URL; it may begin with the path of a directory, which must exist")
	f.Add(&o.sha256, "sha256", "HEX", "checksum of the file, for one URL")
	f.Add(&o.digests, "digest", "ALG=HEX", "checksum of another algorithm, for one URL: sha512, sha384, sha1, md5 or crc32c; may be repeated")
	f.Add(&o.mirrors, "mirror", "URL", "another address of the file, for one URL; may be repeated")
	f.Add(&o.serverName, "content-disposition", "", "use the file name that the server sends, if it sends one")
	f.Add(&o.urlDirs, "url-dirs", "", "create the directories of the URL's path in DIR")
	f.Add(&o.keep, "skip-existing", "", "accept each file that exists, without a comparison")
	f.Add(&o.update, "update", "", "replace an existing file if the server has another version")
	f.Add(&o.overwrite, "overwrite", "", "replace files that exist")

	f.Group("Lists")
	f.Add(&o.list, "i", "LIST", "read URLs from a file with a list, in addition to the arguments")
	f.Add(&o.checksums, "checksums", "FILE", "checksums of all files, in the format of sha256sum; - is the standard input")

	f.Group("Requests")
	f.Add(&o.headers, "H", "HEADER", "send a header, as in 'Accept: text/csv'; @FILE reads headers from a file, one per line; may be repeated")
	f.Add(&o.userAgent, "user-agent", "TEXT", "send another User-Agent than concert")
	f.Add(&o.auth, "auth", "USER:PASSWORD", "user and password for the host of the URLs; @FILE reads them from a file, so that the list of processes does not show them")
	f.Add(&o.cookies, "cookies", "FILE", "send the cookies of a file in the format of Netscape, as browsers export it")
	f.Add(&o.proxy, "proxy", "URL", "proxy for all requests: http, https, socks5 or socks5h (default $HTTPS_PROXY, $HTTP_PROXY or $ALL_PROXY, except for $NO_PROXY)")
	f.Add(&o.cacert, "cacert", "FILE", "trust the certificate authorities of a PEM file, instead of those of the system")
	f.Add(&o.http1, "http1.1", "", "do not use HTTP/2")
	f.Add(&o.allowInsecure, "allow-downgrade", "", "follow redirects from https to http")

	f.Group("Limits")
	f.Add(&o.jobs, "jobs", "N", "concurrent downloads, 1 to 1000")
	f.Add(&o.perHost, "per-host", "N", "concurrent downloads from one host, 1 to 1000")
	f.Add(&o.connections, "x", "N", "connections for each large file, 1 to 64")
	f.Add(&o.limitRate, "limit-rate", "RATE", "maximum speed of all downloads together, in bytes per second, as in 500K or 2M")
	f.Add(&o.minSpeed, "min-speed", "RATE", "minimum speed of a download over 30 seconds; a slower attempt ends, and the next one continues")
	f.Add(&o.maxTime, "max-time", "D", "time limit for each file, from its first attempt on, with all pauses")
	f.Add(&o.connect, "connect-timeout", "D", "time limit for a connection")
	f.Add(&o.header, "header-timeout", "D", "time limit from a request to its reply")
	f.Add(&o.stall, "stall-timeout", "D", "time limit for the next KiB; raise it for a server that sends single bytes")

	f.Group("Retries")
	f.Add(&o.retries, "retries", "N", "further attempts after a transient error; progress renews their number; after a wrong checksum only one")
	f.Add(&o.retryDelay, "retry-delay", "D", "pause before the second attempt; it doubles, up to a minute, unless the server sets it")
	f.Add(&o.retryMaxTime, "retry-max-time", "D", "longest pause that a server may demand; if it demands more, the file fails")

	f.Group("Output")
	f.Add(&o.isDryRun, "dry-run", "", "print what would happen to each file, and its path, without a request; the words are explained below")
	f.Add(&o.json, "json", "", "print events to the standard output, one per line")
	f.Add(&o.quiet, "quiet", "", "print only the paths of finished files, and failures")
	f.Add(&o.trace, "trace", "FILE", "write a trace of the downloads, for a trace viewer such as ui.perfetto.dev")
	o.web.Declare(f)
	return f
}

func parse(args []string) (o options, urls []string, err error) {
	flags := o.flags()
	if err := flags.ParseAnywhere(args); err != nil {
		return o, nil, err
	}
	existing := choices(map[string]bool{"--skip-existing": o.keep, "--update": o.update, "--overwrite": o.overwrite})
	wrong := ""
	switch {
	case o.jobs < 1 || o.jobs > 1000:
		wrong = "--jobs takes 1 to 1000"
	case o.perHost < 1 || o.perHost > 1000:
		wrong = "--per-host takes 1 to 1000"
	case o.connections < 1 || o.connections > 64:
		wrong = "-x takes 1 to 64"
	case o.retries < 0 || o.retries > maxRetries:
		wrong = fmt.Sprintf("--retries takes 0 to %d", maxRetries)
	case o.wrongTime() != "":
		wrong = o.wrongTime()
	case o.limitRate > 0 && int64(o.minSpeed) > int64(o.limitRate)/int64(o.jobs):
		wrong = "--min-speed is more than the share of each of --jobs downloads in --limit-rate"
	case len(existing) > 1:
		wrong = strings.Join(existing, " and ") + " exclude each other"
	case o.output != "" && o.serverName:
		wrong = "-o and --content-disposition exclude each other"
	case o.output != "" && o.urlDirs:
		wrong = "-o and --url-dirs exclude each other"
	case o.list == "-" && o.checksums == "-":
		wrong = "-i and --checksums cannot both read the standard input"
	case isURL(o.list):
		wrong = "-i takes a file with a list, and not a URL; write the URL without -i, or download the list first"
	case strings.Contains(o.checksums, "://"):
		wrong = "--checksums takes a file; download it first"
	case flags.NArg() == 0 && o.list == "":
		wrong = "no URL, and no list with -i"
	}
	if wrong != "" {
		return o, nil, cli.UsageError{Text: wrong}
	}
	return o, flags.Args(), nil
}

const (
	maxRetries = 1_000_000
	maxTime    = 24 * 365 * time.Hour // small enough that sums of such times do not overflow
)

// wrongTime returns a text about the first time flag with a wrong value, or
// "".
func (o *options) wrongTime() string {
	for _, f := range []struct {
		name  string
		value time.Duration
	}{
		{"connect-timeout", o.connect}, {"header-timeout", o.header}, {"stall-timeout", o.stall},
		{"retry-delay", o.retryDelay}, {"retry-max-time", o.retryMaxTime},
	} {
		if f.value <= 0 || f.value > maxTime {
			return fmt.Sprintf("--%s takes a time above 0 and up to %.0fh, as in 30s or 2m", f.name, maxTime.Hours())
		}
	}
	if o.maxTime < 0 || o.maxTime > maxTime {
		return fmt.Sprintf("--max-time takes a time up to %.0fh, as in 30s or 2m, or 0 for no limit", maxTime.Hours())
	}
	return ""
}

// choices returns the names of the flags that are set, in the order of the
// help.
func choices(set map[string]bool) (names []string) {
	for _, name := range []string{"--skip-existing", "--update", "--overwrite"} {
		if set[name] {
			names = append(names, name)
		}
	}
	return names
}

// clientOptions returns the options of the client. It reads the files that the
// flags name. The notes are for the user.
func (o *options) clientOptions(list []*wanted) (opts *download.ClientOptions, notes []string, err error) {
	opts = &download.ClientOptions{
		Connect: o.connect, Header: o.header, Stall: o.stall, MinSpeed: int64(o.minSpeed),
		Retries: cmp.Or(o.retries, -1), RetryDelay: o.retryDelay, MaxRetryAfter: o.retryMaxTime,
		HTTP1: o.http1, AllowDowngrade: o.allowInsecure, Limit: newLimit(o.limitRate),
	}
	if opts.Headers, err = readHeaders(o.headers, o.userAgent); err != nil {
		return nil, nil, err
	}
	if err := checkSecretHeaders(opts.Headers, list); err != nil {
		return nil, nil, err
	}
	if opts.Credentials, err = credentials(o.auth, list); err != nil {
		return nil, nil, err
	}
	if o.cookies != "" {
		if opts.Jar, notes, err = readCookies(o.cookies); err != nil {
			return nil, nil, err
		}
	}
	if opts.Proxy, err = proxyFor(o.proxy); err != nil {
		return nil, nil, err
	}
	if opts.RootCAs, err = readAuthorities(o.cacert); err != nil {
		return nil, nil, err
	}
	return opts, notes, nil
}

// request returns the request for a file.
func (o *options) request(w *wanted) download.Request {
	return download.Request{
		URL: w.url, Mirrors: w.mirrors(), Dir: w.directory(o.dir), Name: w.name, ServerName: o.serverName, Digests: w.digests(),
		Overwrite: o.overwrite, Update: o.update, Keep: o.keep, Connections: o.connections,
	}
}
