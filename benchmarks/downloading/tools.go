//go:build linux

package main

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

const (
	jobs        = 16 // number of concurrent downloads
	connections = 8  // number of connections for one file
)

// tool is a program that downloads a list of files.
type tool struct {
	name    string
	peer    bool // whether the tool is of another project
	program string
	checks  string
	// command returns the command for a row, or nil if the tool cannot
	// download the row. It writes the list of the URLs to the directory work.
	// The command downloads the files to the directory out.
	command func(s *site, r row, work, out string) (*exec.Cmd, error)
}

// version returns the first line that the tool prints about its version.
func (t *tool) version() string {
	arg := "--version"
	if !t.peer {
		arg = "version"
	}
	text, err := exec.Command(t.program, arg).Output()
	if err != nil {
		return err.Error()
	}
	line, _, _ := strings.Cut(string(text), "\n")
	return line
}

func tools(concert, before string) []*tool {
	checks := "length, and the digests that are known; syncs each file before it gets its name; never replaces a file"
	all := []*tool{{name: "concert", program: concert, checks: checks, command: concertCommand(concert)}}
	if before != "" {
		all = append(all, &tool{name: "concert before", program: before, checks: checks, command: concertCommand(before)})
	}
	return append(all,
		&tool{name: "curl", peer: true, program: "curl", command: curl,
			checks: "length; no sync; a file has its name before it is complete"},
		&tool{name: "wget2", peer: true, program: "wget2", command: wget2,
			checks: "length; no sync; a file has its name before it is complete"},
		&tool{name: "aria2c", peer: true, program: "aria2c", command: aria2c,
			checks: "length, and digests of the command line; calls fsync about three times for each file; a control file marks an incomplete file"},
	)
}

// writeList writes lines to a file in a directory.
func writeList(dir, name string, lines []string) (string, error) {
	path := filepath.Join(dir, name)
	return path, os.WriteFile(path, []byte(strings.Join(lines, "\n")+"\n"), 0o644)
}

func concertCommand(program string) func(*site, row, string, string) (*exec.Cmd, error) {
	return func(s *site, r row, work, out string) (*exec.Cmd, error) {
		list, err := writeList(work, "concert.txt", s.urls(r))
		if err != nil {
			return nil, err
		}
		args := []string{"get", "--quiet", "-d", out, "-i", list, "--jobs", fmt.Sprint(jobs), "--per-host", fmt.Sprint(jobs)}
		if r.split {
			help, err := exec.Command(program, "get", "--help").CombinedOutput()
			if err != nil {
				return nil, err
			}
			if !strings.Contains(string(help), " -x ") {
				return nil, nil
			}
			args = append(args, "-x", fmt.Sprint(connections))
		}
		cmd := exec.Command(program, args...)
		cmd.Env = append(os.Environ(), "SSL_CERT_FILE="+s.certificate)
		return cmd, nil
	}
}

func curl(s *site, r row, work, out string) (*exec.Cmd, error) {
	if r.split {
		return nil, nil
	}
	var lines []string
	for i, u := range s.urls(r) {
		lines = append(lines, fmt.Sprintf("url = %q\noutput = %q", u, filepath.Join(out, r.name(i))))
	}
	list, err := writeList(work, "curl.txt", lines)
	return exec.Command("curl", "-Z", "--parallel-max", fmt.Sprint(jobs), "--fail", "--silent", "--show-error", "--cacert", s.certificate, "-K", list), err
}

func wget2(s *site, r row, work, out string) (*exec.Cmd, error) {
	list, err := writeList(work, "wget2.txt", s.urls(r))
	args := []string{"--quiet", "--no-config", "--no-hsts", "--no-robots", "--ca-certificate", s.certificate, "-P", out, "-i", list}
	if r.split {
		args = append(args, "--max-threads", fmt.Sprint(connections), "--chunk-size", fmt.Sprint(r.size/connections))
	} else {
		args = append(args, "--max-threads", fmt.Sprint(jobs))
	}
	return exec.Command("wget2", args...), err
}

func aria2c(s *site, r row, work, out string) (*exec.Cmd, error) {
	list, err := writeList(work, "aria2.txt", s.urls(r))
	args := []string{"--quiet", "--no-conf", "--file-allocation=none", "--ca-certificate=" + s.certificate, "-d", out, "-i", list}
	if r.split {
		args = append(args, "-x", fmt.Sprint(connections), "-s", fmt.Sprint(connections))
	} else {
		args = append(args, "-j", fmt.Sprint(jobs))
	}
	return exec.Command("aria2c", args...), err
}
