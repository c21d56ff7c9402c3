package devserver

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"concert/internal/serverurl"
)

// Environment variables that name the server and the key file.
const (
	URLVariable = "CONCERT_URL"
	KeyVariable = "CONCERT_KEY"
)

// Found is a server to connect to.
type Found struct {
	URL, Key string
	Record   string // the file of 'concertd dev' in which Find has found the server; "" if the server is not from this file
}

// Find returns the server to connect to, for a program that has given a URL
// and a key file. Either may be empty. Find uses the first of these rules
// that applies:
//
//  1. If there is a URL, Find returns it with the key file of the program.
//  2. If CONCERT_URL is set, Find returns this URL. The key file is the file that
//     the program names, or else the file in CONCERT_KEY.
//  3. If there is a key file, of the program or in CONCERT_KEY, the URL is
//     serverurl.Default.
//  4. If the file of 'concertd dev' exists, Find returns the server in it.
//  5. Otherwise Find returns an error.
func Find(url, key string) (Found, error) {
	if url != "" {
		return Found{URL: url, Key: key}, nil
	}
	key = cmp.Or(key, os.Getenv(KeyVariable))
	if url = os.Getenv(URLVariable); url != "" || key != "" {
		return Found{URL: cmp.Or(url, serverurl.Default), Key: key}, nil
	}
	d, err := dir()
	if err != nil {
		return Found{}, err
	}
	file := filepath.Join(d, recordFile)
	var r Record
	if err = checkPrivate(d); err == nil {
		r, err = read(file)
	}
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return Found{}, fmt.Errorf("no server: no URL is given, %s is not set, and 'concertd dev' does not run for this user (there is no file %s): run 'concertd dev' in another terminal, or give the URL and the key file of a server", URLVariable, file)
	case errors.Is(err, fs.ErrPermission):
		return Found{}, fmt.Errorf("finding the server of 'concertd dev': %w: %s", err, dirHint)
	case err != nil:
		return Found{}, fmt.Errorf("finding the server of 'concertd dev': %w", err)
	}
	if _, err := os.Stat(r.Key); errors.Is(err, fs.ErrNotExist) {
		return Found{}, fmt.Errorf("the server of 'concertd dev' at %s has ended, and its key file is gone (%s names it): run 'concertd dev' again in another terminal: %w", r.URL, file, err)
	}
	return Found{r.URL, r.Key, file}, nil
}

// read reads the record of a server.
func read(file string) (r Record, err error) {
	f, err := os.Open(file)
	if err != nil {
		return r, err
	}
	defer f.Close()
	text, err := io.ReadAll(io.LimitReader(f, maxFileBytes))
	if err != nil {
		return r, err
	}
	if json.Unmarshal(text, &r) != nil || serverurl.Check(r.URL) != nil || r.URL == "" || r.Key == "" {
		return r, fmt.Errorf("%s is damaged: run 'concertd dev' again, which replaces it", file)
	}
	return r, nil
}
