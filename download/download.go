// Package download downloads one URL into one file: completely and verified, or
// not at all.
//
//	got, err := download.Get(ctx, download.Request{URL: url, Dir: "pages"})
//
// # The model
//
//	       no file yet                 1 MiB has arrived, or the attempt failed
//	Get ---------------> unnamed file ------------------------> NAME.part
//	 |                        |                                     |
//	 | the file exists        | complete: length, digests           | complete
//	 v                        v                                     v
//	present, or an error     NAME <---------------------------------+
//
// Get writes the body of the reply to a file without a name in the directory of
// the file. A small file gets its name when it is complete, and nothing is left
// if the process is killed before. A large file gets the name NAME.part after
// its first MiB, and a state, NAME.part.json. The next Get continues it.
// Systems other than Linux have no unnamed files: there, the part has its name
// from the beginning.
//
// # The rules
//
//   - A file with the final name is complete, and is one version of the file.
//     Get returns an error if the body does not have its announced length, a
//     digest that the server sends (see [Digest]), or a digest of the request.
//   - Get continues a part only with If-Range and a strong validator (RFC
//     9110, section 13.1.5). The reply must have the same validator and the
//     requested range. The URL may be another one, such as a mirror or a fresh
//     signature. The first bytes of the reply must be equal to the last bytes
//     of the part. Get compares 64 KiB if the part is from an earlier Get or
//     from another URL, and otherwise up to 4 KiB.
//   - Get never changes or removes a file that is not a part of Get. If such a
//     file has the name of the part, Get uses the name NAME.concert.part.
//   - If the server replies with the whole file of the same version, Get
//     compares the part from its first byte, and continues after it. If the
//     part has holes, Get keeps only the bytes before the first hole.
//   - If the server replies with an error, Get keeps the part. It also keeps
//     the part if the server sends an HTML page instead of the rest of the
//     file, as a captive portal does. It removes the part if the reply has
//     another version or a wrong range. If the error may be due to the range
//     (400, 403, 405, 406, 412, 416 or 501), Get requests the range again, and
//     then the whole file.
//   - Get syncs the file before the file gets its name. So after a loss of
//     power, no file has a final name without its content. The state of a
//     large part has the synced length of the part. After a loss of power, or
//     if several connections received the part, the next Get continues only
//     the synced bytes.
//   - The final name never replaces a file that appeared in the meantime,
//     unless Request.Overwrite is set.
//   - Several calls for the same file, also of several processes, take turns.
//     The first call downloads the file, and the later calls find it present.
//     This needs a file system with locks. Do not call Get for the same file
//     concurrently on a file system without them, as some network file systems
//     are.
//   - File names come from the caller or the URL, unless Request.ServerName is
//     set. They cannot leave the directory.
//   - Credentials are sent to the host of the URL alone. A redirect to another
//     host gets no Authorization, no cookie of the request, no header of the
//     request and no Referer. A redirect from https to http is an error.
//
// # Files that exist
//
// If the file exists, Get does not replace it. If Request.Digests is set, the
// file must have these digests. Otherwise Get compares the file with its
// receipt, an extended attribute that Get has written after an earlier
// download. If the file has not changed since then, and the URL is the same,
// the file is present, and Get sends no request. If the URL is another one, or
// the file system has no extended attributes, Get asks the server whether the
// file is the same. It compares the length and the modification time of both
// files. If only the query of the URL differs, Get compares the length and the
// entity tag instead. If the file has no receipt, and the server sends no
// modification time, Get receives the file and compares the bytes. After a
// broken connection, it continues the comparison as it continues a part. If
// the answer is not clear, Get returns an error that wraps [fs.ErrExist].
//
// # Several connections
//
// If Request.Connections is more than 1, Get divides a large file into pieces,
// and receives several pieces concurrently. All rules stay the same: each
// reply must have the validator of the file and exactly the requested range,
// and the end of each continued piece is compared. Get also compares the first
// bytes of a piece with the bytes that the connection of the piece before it
// receives. The digests are those of the whole file. The state of the part
// records which bytes were received and synced. So the next Get continues,
// with any number of connections. A piece that fails is requested again while
// the other connections continue. If the server refuses further connections,
// Get uses fewer. After an attempt without progress, it uses one connection.
//
// # Retries
//
// Get makes further attempts after temporary errors: broken connections,
// timeouts, and the statuses for which a retry is sensible. When 64 KiB of new
// bytes of the file have arrived, the number of attempts starts from zero
// again. If a reply has the header Retry-After, Get waits for the time that it
// demands.
//
// # Limits
//
// In HTTP/1.0, a reply may state no length. Its body ends when the connection
// ends. If the connection breaks, the body is incomplete, and Get can notice
// this only by a digest.
package download

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"time"
)

// Request is a URL to download, and the file for it.
type Request struct {
	// URL is the address of the file, with the scheme http or https. A user and
	// a password in the URL are sent as basic authentication.
	URL string

	// Mirrors are further addresses of the same file. After an attempt without
	// progress, the next attempt uses the next address. URL follows after the
	// last mirror. If Digests is not set, all connections use the same
	// address.
	Mirrors []string

	// Dir is the directory for the file. It must exist. Empty means the working
	// directory.
	Dir string

	// Name is the name of the file in Dir: a single element, no path. Empty
	// means the last element of the URL's path, see [Name].
	Name string

	// ServerName makes Get use the file name of the header Content-Disposition
	// of the reply instead of Name, if the reply has one. Only a name that
	// passes [CheckName] is used; otherwise Get returns an error. The name is
	// known after the first reply. Only then Get looks for an existing file.
	ServerName bool

	// OnName, if set, is called with the name of the file after the first
	// reply, if ServerName is set. If OnName returns an error, Get creates no
	// file, and returns the error. So the caller can refuse the name of
	// another file.
	OnName func(name string) error

	// Digests are the digests that the file must have.
	Digests []Digest

	// Overwrite makes Get replace an existing file. By default, Get does not
	// change an existing file.
	Overwrite bool

	// Update makes Get replace an existing file if the server has another
	// version of it. Get finds out with a conditional request. If Digests is
	// not set, an empty body does not replace a file with content, and an HTML
	// page does not replace a file that is no page: see ErrImplausible.
	Update bool

	// Keep makes Get accept an existing file without a comparison.
	Keep bool

	// Listing has the names that were in Dir when the caller read them. If
	// Listing has neither the file nor a part of the file, Get does not look
	// for them before the download. This makes many downloads into one
	// directory faster. Nil means that Get looks. Get still looks for a newer
	// part, and continues it. Get also notices a file that is newer than
	// Listing: when it gives a name to its part or to the complete file. Get
	// treats this file as any other existing file.
	Listing map[string]bool

	// Connections is the maximum number of concurrent connections for a file of
	// at least 2 MiB: 1 to 64. Zero means 1. More than one connection needs a
	// server that supports ranges and sends a strong validator. If the server
	// refuses further connections, Get uses fewer.
	Connections int

	// OnEvent, if set, is called with each event of the download. The calls are
	// sequential, and they delay the download.
	OnEvent func(Event)
}

// Result describes the file of a successful Get.
type Result struct {
	Path     string    // the path of the file
	Size     int64     // the size in bytes
	Resumed  int64     // the number of bytes that an earlier Get had downloaded
	Digests  []Digest  // the digests that Get has verified
	Modified time.Time // the modification time that the server has sent, zero if it sent none; for a file that existed, the time of the file
	Present  bool      // whether the file existed already
	FinalURL string    // the URL after redirects, without secrets; empty if there was no request
	Status   int       // the status of the last reply; 0 if there was no request
	Attempts int       // the number of attempts; 0 if there was no request
}

// Get downloads a file with a client of NewClient(nil), which all calls share.
// See [Client.Get].
func Get(ctx context.Context, r Request) (Result, error) {
	return defaultClient.Get(ctx, r)
}

// Get downloads the URL into the file, and returns when the file is complete.
// An error is an [*Error], unless a field of the request is invalid. When ctx
// ends, Get returns an error with the cause of ctx, and the next Get continues
// the download. Get blocks while another call, of any process, downloads the
// same file.
func (c *Client) Get(ctx context.Context, r Request) (Result, error) {
	j, err := c.newJob(r)
	if err != nil {
		return Result{}, err
	}
	if c.opts.MaxTime > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeoutCause(ctx, c.opts.MaxTime, errMaxTime)
		defer cancel()
	}
	for looks := 0; ; looks++ {
		j.compared = false
		found, err := false, error(nil)
		if !j.ServerName && !j.unlisted { // with ServerName, the name is known after the reply
			found, err = j.checkExisting(ctx)
		}
		if err == nil && !found {
			err = j.download(ctx)
		}
		if err == nil && j.result.Present {
			j.removeStale()
		}
		// Another download of the same file has created the file or its part
		// after this call had looked. So look again.
		if errors.Is(err, errAppeared) {
			j.unlisted = false
			if looks < maxLooks {
				continue
			}
			err = j.fail("create "+j.Name, fmt.Errorf("another program created, changed or removed the file %d times during the download", looks))
		}
		if err != nil {
			return Result{}, err
		}
		return j.result, nil
	}
}

// maxLooks is the maximum number of times that Get looks again for a file that
// appeared or changed.
const maxLooks = 20

// errAppeared reports one of these: the file or its part appeared during a
// download, the file changed during a comparison, or the server has given the
// file another name. Get then looks for the file again.
var errAppeared = errors.New("the file appeared or changed during the download")

// job is a running Get.
type job struct {
	Request
	client *Client
	urls   []*url.URL // the URL and its mirrors, without user and password
	users  []*url.Userinfo
	shown  []string // the URLs without secrets, for events
	dir    string
	result Result

	attempt int       // the number of attempts so far
	current int       // the index of the URL of the current attempt
	known   *existing // the existing file to compare with the server's; nil if there is none
	part    *part     // nil before the first good reply
	earlier []span    // the bytes of the part that an earlier Get had downloaded

	// unlisted is whether the file and its part are missing in Listing, and
	// Get has not noticed that one of them exists.
	unlisted bool

	// appeared is whether the file appeared when the part of this Get was
	// complete. Then Get needs the part only if the file is not the file of
	// the server.
	appeared bool

	refuser  int  // 1 plus the index of the URL whose server has refused a range; 0 if none has
	refusals int  // the number of refused ranges
	whole    bool // whether the attempts request the whole file, because the server refuses ranges
	several  bool // whether the last attempt had several connections, and no status of the server refused them

	// compared is whether the bytes of the part are bytes of the server's
	// file, because this Get has received them or has compared the last ones.
	compared   bool
	comparedTo int   // the index of the URL whose file was compared
	recheck    int64 // the number of bytes to compare in the next attempt, if compared is set
}

// newJob checks a request before it has any effect.
func (c *Client) newJob(r Request) (*job, error) {
	j := &job{Request: r, client: c, dir: r.Dir}
	for _, raw := range append([]string{r.URL}, r.Mirrors...) {
		u, err := ParseURL(raw)
		if err != nil {
			return nil, err
		}
		j.users = append(j.users, u.User)
		u.User = nil
		u.Fragment = ""
		j.urls = append(j.urls, u)
		j.shown = append(j.shown, SafeURL(u))
	}
	if j.Name == "" {
		var err error
		if j.Name, err = Name(r.URL); err != nil {
			return nil, err
		}
	}
	if err := CheckName(j.Name); err != nil {
		return nil, err
	}
	for _, d := range r.Digests {
		if err := d.check(); err != nil {
			return nil, err
		}
	}
	if r.Connections < 0 || r.Connections > maxConnections {
		return nil, fmt.Errorf("download: Request.Connections is %d; use 0 to %d", r.Connections, maxConnections)
	}
	if j.dir == "" {
		j.dir = "."
	}
	j.result.Path = j.path(j.Name)
	j.unlisted = r.Listing != nil && !r.ServerName && !j.hasName(func(name string) bool { return r.Listing[name] })
	if j.unlisted {
		_, err := j.look(j.partNames()[0] + ".json")
		j.unlisted = errors.Is(err, fs.ErrNotExist)
	}
	return j, nil
}

// path returns the path of a file in the directory.
func (j *job) path(name string) string { return filepath.Join(j.dir, name) }

// url returns the URL of the current attempt.
func (j *job) url() *url.URL { return j.urls[j.urlIndex()] }

func (j *job) urlIndex() int { return j.current }

// ParseURL parses the URL of a Request: with the scheme http or https, a host,
// and a port up to 65535 if there is one. The error contains no secret of the
// URL.
func ParseURL(raw string) (*url.URL, error) {
	u, err := url.Parse(raw)
	if err != nil {
		return nil, urlError(err)
	}
	if u.Opaque != "" { // it may have a password
		return nil, errors.New("download: not a URL: write // after the scheme, as in https://example.com/")
	}
	if u.Scheme != "http" && u.Scheme != "https" || u.Host == "" {
		return nil, errors.New("download: " + SafeURL(u) + ": not an http or https URL")
	}
	if port := u.Port(); port != "" {
		if n, err := strconv.ParseUint(port, 10, 16); err != nil || n == 0 {
			return nil, fmt.Errorf("download: %s: the port is not a number from 1 to 65535", SafeURL(u))
		}
	}
	return u, nil
}

// look reports whether a file exists, without following a symbolic link.
func (j *job) look(name string) (fs.FileInfo, error) { return os.Lstat(j.path(name)) }

// hasName reports whether has(name) is true for the name of the file or for a
// name of the state file of its part.
func (j *job) hasName(has func(name string) bool) bool {
	return has(j.Name) || slices.ContainsFunc(j.partNames(), func(part string) bool { return has(part + ".json") })
}
