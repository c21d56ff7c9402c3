// Thumbnails makes small copies of images, in as many processes as there are
// processors:
//
//	go run ./examples/thumbnails                       of photographs that it makes itself
//	go run ./examples/thumbnails -into small *.jpg     of yours
//
// An image that cannot be read costs its own thumbnail; so would one that
// crashes the decoder, or takes it a minute. What failed is named, and the exit code
// is 1 then.
package main

import (
	"context"
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
	"concert/processes"
)

// job is what a worker is told, and made what it answers. They travel, so their
// fields are exported.
type job struct {
	Path, Into string
	Size       int // of the longer side, in pixels
}

type made struct{ Path, From, To string }

// thumbnail runs in the workers.
var thumbnail = concert.Register("thumbnails.thumbnail", makeThumbnail)

func main() {
	processes.Main() // a worker does not go past it
	into := flag.String("into", "", "folder for the thumbnails; made if there is none (default: a temporary one)")
	size := flag.Int("size", 160, "longer side of a thumbnail, in pixels")
	workers := flag.Int("workers", 0, "processes (default: one for each processor)")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	failed, err := run(ctx, *into, *size, *workers, flag.Args())
	switch {
	case err != nil:
		fmt.Fprintln(os.Stderr, "thumbnails:", err)
		os.Exit(2)
	case failed > 0:
		os.Exit(1)
	}
}

// run returns how many images failed.
func run(ctx context.Context, into string, size, workers int, paths []string) (failed int, err error) {
	if len(paths) == 0 {
		folder, err := os.MkdirTemp("", "photographs-")
		if err != nil {
			return 0, err
		}
		defer os.RemoveAll(folder)
		if paths, err = takePhotographs(folder, 24); err != nil {
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
	pool, err := processes.New(workers, &processes.Options{Timeout: time.Minute, Memory: 1 << 30})
	if err != nil {
		return 0, err
	}
	defer pool.Close()

	start := time.Now()
	jobs := func(yield func(job) bool) {
		for _, path := range paths {
			if !yield(job{path, into, size}) {
				return
			}
		}
	}
	n := 0
	for m, err := range concert.Map(ctx, pool, thumbnail, jobs) {
		switch {
		case ctx.Err() != nil:
			return failed, context.Cause(ctx)
		case err != nil:
			failed++
			fmt.Fprintf(os.Stderr, "%s: %v\n", filepath.Base(paths[n]), err)
		default:
			fmt.Printf("%s  %s -> %s\n", filepath.Base(m.Path), m.From, m.To)
		}
		n++
	}
	fmt.Printf("%d thumbnails in %s, %d failed, %.1f s, %d processes\n", n-failed, into, failed, time.Since(start).Seconds(), pool.Width())
	return failed, nil
}

// mostPixels bounds what is decoded: a few bytes can claim to be any size.
const mostPixels = 100_000_000

func makeThumbnail(ctx context.Context, j job) (made, error) {
	m := made{}
	f, err := os.Open(j.Path)
	if err != nil {
		return m, err
	}
	defer f.Close()
	config, _, err := image.DecodeConfig(f)
	if err != nil {
		return m, err
	}
	if int64(config.Width)*int64(config.Height) > mostPixels {
		return m, fmt.Errorf("%d x %d pixels are too many", config.Width, config.Height)
	}
	if _, err := f.Seek(0, 0); err != nil {
		return m, err
	}
	photo, _, err := image.Decode(f)
	if err != nil {
		return m, err
	}
	from := photo.Bounds()
	scale := float64(j.Size) / float64(max(from.Dx(), from.Dy(), j.Size))
	small := image.NewRGBA(image.Rect(0, 0, max(1, int(float64(from.Dx())*scale)), max(1, int(float64(from.Dy())*scale))))
	draw.CatmullRom.Scale(small, small.Bounds(), photo, from, draw.Src, nil)

	m.Path = filepath.Join(j.Into, strings.TrimSuffix(filepath.Base(j.Path), filepath.Ext(j.Path))+".jpg")
	if err := save(m.Path, small); err != nil {
		return m, err
	}
	m.From = fmt.Sprintf("%d x %d", from.Dx(), from.Dy())
	m.To = fmt.Sprintf("%d x %d", small.Bounds().Dx(), small.Bounds().Dy())
	return m, nil
}

// save writes an image to a file that is whole or not there.
func save(path string, img image.Image) error {
	f, err := os.CreateTemp(filepath.Dir(path), ".thumbnail-")
	if err != nil {
		return err
	}
	defer os.Remove(f.Name())
	if err := jpeg.Encode(f, img, &jpeg.Options{Quality: 85}); err != nil {
		f.Close()
		return err
	}
	if err := f.Close(); err != nil {
		return err
	}
	return os.Rename(f.Name(), path)
}

// photograph runs in workers, too: there is much to paint.
var photograph = concert.Register("thumbnails.photograph", paint)

// takePhotographs makes n images, the last of which is damaged.
func takePhotographs(folder string, n int) (paths []string, err error) {
	pool, err := processes.New(0, nil)
	if err != nil {
		return nil, err
	}
	defer pool.Close()
	for i := range n {
		paths = append(paths, filepath.Join(folder, fmt.Sprintf("photograph-%02d.jpg", i+1)))
	}
	for _, err := range concert.Map(context.Background(), pool, photograph, slices.Values(paths)) {
		if err != nil {
			return nil, err
		}
	}
	return paths, os.Truncate(paths[n-1], 10_000)
}
