// Thumbnails makes small copies of images, in as many processes as there are
// processors:
//
//	go run ./examples/thumbnails                       of images that it creates itself
//	go run ./examples/thumbnails -into small *.jpg     of your images
//
// or by the workers of a cluster, which run the second of these commands:
//
//	go run ./examples/thumbnails -cluster tls://one.example:4222 -key ann.key *.jpg
//	go run ./examples/thumbnails -cluster tls://one.example:4222 -key box.key -work
//
// The program sends the images to the workers, and receives the thumbnails. So
// only the program reads and writes files. An image may be unreadable, may
// crash the decoder, or may take the decoder a minute. Then only the thumbnail
// of this image is missing. The program prints the name of the image and the
// reason, and the exit code is 1.
package main

import (
	"bytes"
	"context"
	"errors"
	"flag"
	"fmt"
	"image"
	_ "image/gif"
	"image/jpeg"
	_ "image/png"
	"os"
	"os/signal"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"golang.org/x/image/draw"
	_ "golang.org/x/image/webp"

	"concert"
	"concert/cluster"
	"concert/processes"
)

// The type job is the argument of a task, and the type made is the result.
// Their values are sent to other processes, so the fields are exported.
type job struct {
	Photo      []byte
	Size       int    // the length of the longer side, in pixels
	Unreadable string // the reason why the photo cannot be read; empty if it can be read
}

type made struct {
	Small    []byte
	From, To string // the sizes of the photo and of the thumbnail, in pixels
}

// thumbnail runs in the workers.
var thumbnail = concert.Register("thumbnails.thumbnail", makeThumbnail)

func main() {
	processes.Main() // does not return in a worker process
	into := flag.String("into", "", "directory for the thumbnails; created if it does not exist (default: a temporary one)")
	size := flag.Int("size", 160, "longer side of a thumbnail, in pixels")
	workers := flag.Int("workers", 0, "processes (default: one for each processor)")
	servers := flag.String("cluster", "", "URL of the servers of a cluster, to use its workers")
	key := flag.String("key", "", "key file for the servers")
	work := flag.Bool("work", false, "run as a worker of the cluster")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	access := cluster.Access{Key: *key}
	ex, err := executor(ctx, *workers, *servers, access, *work)
	if err != nil {
		fmt.Fprintln(os.Stderr, "thumbnails:", err)
		os.Exit(2)
	}
	failed := 0
	if *work {
		err = cluster.Serve(ctx, *servers, ex, &cluster.ServeOptions{Access: access})
	} else {
		failed, err = run(ctx, ex, *into, *size, flag.Args())
	}
	err = errors.Join(err, ex.Close())
	switch {
	case err != nil:
		fmt.Fprintln(os.Stderr, "thumbnails:", err)
		os.Exit(2)
	case failed > 0:
		os.Exit(1)
	}
}

// executor returns the executor that makes the thumbnails: processes on this
// machine, or the workers of a cluster.
func executor(ctx context.Context, workers int, servers string, access cluster.Access, work bool) (concert.Executor, error) {
	if servers == "" || work {
		return processes.New(workers, &processes.Options{Timeout: time.Minute, Memory: 1 << 30})
	}
	return cluster.Dial(ctx, servers, &cluster.Options{Access: access})
}

// run makes the thumbnails of images, and saves the thumbnails in the given
// directory. It returns the number of images that failed.
func run(ctx context.Context, ex concert.Executor, into string, size int, paths []string) (failed int, err error) {
	if len(paths) == 0 {
		dir, err := os.MkdirTemp("", "photographs-")
		if err != nil {
			return 0, err
		}
		defer os.RemoveAll(dir)
		if paths, err = takePhotographs(dir, 24); err != nil {
			return 0, err
		}
	}
	if into == "" {
		if into, err = os.MkdirTemp("", "thumbnails-"); err != nil {
			return 0, err
		}
	}
	if err := os.MkdirAll(into, 0o777); err != nil {
		return 0, err
	}

	start := time.Now()
	jobs := func(yield func(job) bool) {
		for _, path := range paths { // the Map takes the next job only when it has room for it
			j := job{Size: size}
			var err error
			if j.Photo, err = os.ReadFile(path); err != nil {
				j.Unreadable = err.Error()
			}
			if !yield(j) {
				return
			}
		}
	}
	n := 0
	for m, err := range concert.Map(ctx, ex, thumbnail, jobs) {
		if ctx.Err() != nil {
			return failed, context.Cause(ctx)
		}
		name := filepath.Base(paths[n])
		small := filepath.Join(into, strings.TrimSuffix(name, filepath.Ext(name))+".jpg")
		if err == nil {
			err = save(small, m.Small)
		}
		if err != nil {
			failed++
			fmt.Fprintf(os.Stderr, "%s: %v\n", name, err)
		} else {
			fmt.Printf("%s  %s -> %s\n", filepath.Base(small), m.From, m.To)
		}
		n++
	}
	fmt.Printf("%d thumbnails in %s, %d failed, %.1f s\n", n-failed, into, failed, time.Since(start).Seconds())
	return failed, nil
}

// mostPixels is the maximum number of pixels of an image that is decoded. The
// header of a small file can claim any size.
const mostPixels = 100_000_000

func makeThumbnail(ctx context.Context, j job) (made, error) {
	m := made{}
	if j.Unreadable != "" {
		return m, errors.New(j.Unreadable)
	}
	config, _, err := image.DecodeConfig(bytes.NewReader(j.Photo))
	if err != nil {
		return m, err
	}
	if int64(config.Width)*int64(config.Height) > mostPixels {
		return m, fmt.Errorf("%d x %d pixels are too many", config.Width, config.Height)
	}
	photo, _, err := image.Decode(bytes.NewReader(j.Photo))
	if err != nil {
		return m, err
	}
	from := photo.Bounds()
	scale := float64(j.Size) / float64(max(from.Dx(), from.Dy(), j.Size))
	small := image.NewRGBA(image.Rect(0, 0, max(1, int(float64(from.Dx())*scale)), max(1, int(float64(from.Dy())*scale))))
	draw.CatmullRom.Scale(small, small.Bounds(), photo, from, draw.Src, nil)

	if m.Small, err = encode(small); err != nil {
		return m, err
	}
	m.From = fmt.Sprintf("%d x %d", from.Dx(), from.Dy())
	m.To = fmt.Sprintf("%d x %d", small.Bounds().Dx(), small.Bounds().Dy())
	return m, nil
}

func encode(img image.Image) ([]byte, error) {
	var b bytes.Buffer
	err := jpeg.Encode(&b, img, &jpeg.Options{Quality: 85})
	return b.Bytes(), err
}

// save writes an image to a file. If writing fails, no incomplete file is left.
func save(path string, img []byte) error {
	f, err := os.CreateTemp(filepath.Dir(path), ".thumbnail-")
	if err != nil {
		return err
	}
	defer os.Remove(f.Name())
	_, err = f.Write(img)
	if err := errors.Join(err, f.Close()); err != nil {
		return err
	}
	return os.Rename(f.Name(), path)
}

// photograph runs in the workers, too, because painting an image takes long.
var photograph = concert.Register("thumbnails.photograph", paint)

// takePhotographs creates n images. The last one is damaged.
func takePhotographs(dir string, n int) (paths []string, err error) {
	pool, err := processes.New(0, nil)
	if err != nil {
		return nil, err
	}
	defer pool.Close()
	for i := range n {
		paths = append(paths, filepath.Join(dir, fmt.Sprintf("photograph-%02d.jpg", i+1)))
	}
	for _, err := range concert.Map(context.Background(), pool, photograph, slices.Values(paths)) {
		if err != nil {
			return nil, err
		}
	}
	return paths, os.Truncate(paths[n-1], 10_000)
}
