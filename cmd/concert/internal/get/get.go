// Package get is the command "concert get". It downloads lists of files: many
// files at once, each completely and verified.
package get

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log"

	"concert/cmd/concert/internal/cli"
	"concert/dashboard"
	"concert/download"
	"concert/internal/printable"
	"concert/trace"
)

const help = `Usage: concert get [flags] URL [name=NAME] [sha256=HEX]...
       concert get [flags] -i LIST

Downloads many files concurrently. Each file is downloaded completely and
verified, or not at all. An interrupted download continues if the server proves
that it still has the same file.

The same command again succeeds: it finds the complete files, and downloads the
others. It does not ask the server whether a file of the same URL has changed;
--update does. A file that exists and is another one is not replaced, unless
--update or --overwrite is given.

A list has one line for each file: its URL, and optionally the URLs of mirrors,
a name and a checksum. A # begins a comment. The lines of sha256sum with URLs
instead of names are a list as well. LIST is a file, or - for the standard
input. It can also be JSON: objects with url, mirrors, name, sha256 and digest.

  https://example.com/a.iso name="my a.iso" sha256=e3b0c442...  # a comment
  https://example.com/b.iso https://mirror.example.org/b.iso
  e3b0c442...  https://example.com/c.iso

Flags:

Flags may be before, between and after the URLs; -- ends them. RATE may have one
of the units K, M and G, which are powers of 1024. D is a time with its unit, as
in 30s or 2m.

--dry-run prints one of these words and the path for each file:
  download  the file does not exist
  continue  a part of it exists, and the download continues it
  compare   it exists; its checksum, its last download or the server tell
            whether it is the right one
  skip      it exists, and --skip-existing accepts it
  replace   it exists, and --overwrite downloads it again

A password is sent to the host of the URL only. It is from the URL, from --auth,
or from the entry of the host in the file $NETRC (default ~/.netrc).

The paths of finished files go to the standard output, everything else to the
standard error. Ctrl-C stops; the next run continues the unfinished files.

Exit codes:
  0    all files are there
  1    some files failed; they are listed at the end
  2    the command line or the list is wrong; nothing was started
  130  interrupted

Examples:
  concert get https://example.com/a.iso -o new.iso
  concert get -d isos -i urls.txt --jobs 32
  concert get -x 8 https://example.com/a.iso --mirror https://example.org/a.iso
  concert get -i urls.txt --checksums SHA256SUMS
  generate-urls | concert get -i - --json > log.jsonl
`

// Command is the command "concert get".
var Command = cli.Command{Name: "get", Summary: "download many files at once, completely and verified", Help: help, Flags: new(options).flags(), Run: run}

// longList is the minimum length of a list for which the garbage collector
// runs more often: when the heap has grown by 50%, instead of the usual 100%.
// For such a list, this makes the heap smaller by a quarter, and takes 3% more
// processor time. Most of the heap is then the list, and the memory of a
// download is garbage when the download ends.
const longList = 10_000

func run(ctx context.Context, args []string, out, errOut io.Writer) (err error) {
	// Package net/http would log bytes that a server sends without a request.
	log.SetOutput(io.Discard)
	o, urls, err := parse(args)
	if err != nil {
		return err
	}
	list, err := untilCtrlC(ctx, func() ([]*wanted, error) { return o.gather(urls) })
	if err != nil {
		return cli.UsageError{Text: err.Error()}
	}
	if len(list) >= longList {
		defer cli.CollectOften()()
	}
	if o.isDryRun {
		return o.dryRun(list, out)
	}
	client, notes, err := o.clientOptions(list)
	if err != nil {
		return cli.UsageError{Text: err.Error()}
	}
	if len(list) == 0 {
		notes = append(notes, listName(o.list)+" has no URL; nothing to download")
	}
	if !o.quiet {
		for _, n := range notes {
			fmt.Fprintf(errOut, "concert get: %s\n", printable.Text(n))
		}
	}
	if len(list) == 0 && !o.json {
		return nil
	}
	missing, err := o.makeDirectories(list)
	if err != nil {
		return err
	}
	g := &getter{options: o, ctx: ctx, missing: missing}
	client.Acquire = g.acquire
	g.client = download.NewClient(client)
	events, err := cli.NewOutput(o.trace)
	if err != nil {
		return err
	}
	defer events.Discard()
	page, err := o.web.Serve("get", dashboard.Options{Title: "concert get"}, errOut)
	if err != nil {
		return err
	}
	defer page.Close()
	r := newReport(o, len(list), out, errOut)
	if page != nil {
		r.live = openLive(page, len(list))
	}
	if events != nil {
		tracer := trace.New(events)
		r.trace = tracer.Observer("concert get")
		defer func() {
			if e := events.Commit(tracer.Close()); e != nil && (err == nil || errors.Is(err, cli.ErrReported)) {
				err = e // it may replace ErrReported: the failed files have been printed already
			}
		}()
	}
	return g.getAll(list, r)
}
