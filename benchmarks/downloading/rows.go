//go:build linux

package main

import "fmt"

// row is a workload: files to download, and a server for them. Each row has a
// table, which has a line for each tool.
type row struct {
	id     string
	about  string
	count  int
	size   int64
	path   string // the path of the location on the server
	tls    bool
	split  bool // whether a tool downloads the file with eight connections
	rounds int
}

const (
	kib = 1 << 10
	mib = 1 << 20
)

// rowsAt returns the rows. The factor scale multiplies the number of small
// files, and the size of large files.
func rowsAt(scale float64) []row {
	rows := []row{
		{id: "small", about: "2,000 files of 16 KiB", count: 2000, size: 16 * kib, path: "/plain", rounds: 5},
		{id: "medium", about: "200 files of 1 MiB", count: 200, size: mib, path: "/plain", rounds: 5},
		{id: "large", about: "4 files of 512 MiB", count: 4, size: 512 * mib, path: "/plain", rounds: 3},
		{id: "tls", about: "4 files of 512 MiB, TLS", count: 4, size: 512 * mib, path: "/plain", tls: true, rounds: 3},
		{id: "delay", about: "500 files of 10 KiB, each reply delayed by 50 ms", count: 500, size: 10 * kib, path: "/delay", rounds: 3},
		{id: "split", about: "one file of 1 GiB, 64 MiB/s for each of 8 connections", count: 1, size: 1024 * mib, path: "/limit", split: true, rounds: 3},
	}
	for i := range rows {
		r := &rows[i]
		if scale == 1 {
			continue
		}
		if r.size > mib {
			r.size = max(mib, int64(scale*float64(r.size)))
		} else {
			r.count = max(1, int(scale*float64(r.count)))
		}
		r.about += fmt.Sprintf(", times %g", scale)
	}
	return rows
}

// name returns the name of a file of the row.
func (r row) name(i int) string { return fmt.Sprintf("%s-%04d.bin", r.id, i) }
