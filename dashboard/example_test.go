package dashboard_test

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"

	"concert"
	"concert/dashboard"
	"concert/goroutines"
)

// A program serves the page next to its other pages, behind its
// authentication.
func Example() {
	pool := goroutines.New(8, nil)
	defer pool.Close()
	http.Handle("/debug/concert/", dashboard.Handler(pool))

	reply := httptest.NewRecorder()
	http.DefaultServeMux.ServeHTTP(reply, httptest.NewRequest("GET", "http://localhost/debug/concert/", nil))
	fmt.Println(reply.Code, strings.Contains(reply.Body.String(), "<h1>concert</h1>"))
	// Output: 200 true
}

// The page has buttons for the actions that the program permits.
func ExampleNew() {
	pool := goroutines.New(8, nil)
	defer pool.Close()
	d := dashboard.New(&dashboard.Options{
		Title:   "resizing images",
		OnPause: func(_ context.Context, pause bool) error { return nil }, // stop taking inputs
	})
	d.Add("resize", pool)
	defer d.Close()

	reply := httptest.NewRecorder()
	d.ServeHTTP(reply, httptest.NewRequest("GET", "http://localhost/", nil))
	fmt.Println(reply.Code, strings.Contains(reply.Body.String(), `<button id="pause"`))
	// Output: 200 true
}

// Work that no executor runs is shown by a Feed.
func ExampleFeed() {
	var uploads dashboard.Feed
	uploads.SetTotal(2)
	uploads.Observe(concert.Event{Kind: concert.TaskStarted, Task: 1, Name: "upload", Worker: -1})
	uploads.Observe(concert.Event{Kind: concert.TaskFinished, Task: 1})
	s := uploads.Stats()
	fmt.Println(s.Done, "done,", s.Queued, "queued")
	// Output: 1 done, 1 queued
}
