package main

import (
	"context"
	"hash/fnv"
	"image"
	"image/color"
	"math"
	"math/rand/v2"
)

// paint returns a picture of hills under a sky. The same name gives the same
// picture.
func paint(_ context.Context, path string) (int, error) {
	const width, height = 1600, 1200
	h := fnv.New64a()
	h.Write([]byte(path[len(path)-6:]))
	r := rand.New(rand.NewPCG(h.Sum64(), 0))
	var hills [4]struct{ base, wave, phase float64 }
	for i := range hills {
		hills[i].base = 0.4 + 0.15*float64(i) + 0.05*r.Float64()
		hills[i].wave = 1 + 4*r.Float64()
		hills[i].phase = 6 * r.Float64()
	}
	hue := r.Float64()
	img := image.NewRGBA(image.Rect(0, 0, width, height))
	for y := range height {
		for x := range width {
			fx, fy := float64(x)/width, float64(y)/height
			c := color.RGBA{uint8(120 + 100*fy), uint8(140 + 80*fy*hue), uint8(220 - 60*fy), 255}
			for i, hill := range hills {
				if fy > hill.base+0.08*math.Sin(hill.wave*6*fx+hill.phase)+0.01*math.Sin(90*fx+float64(i)) {
					shade := 1 - 0.2*float64(i)
					grain := float64(r.IntN(20))
					c = color.RGBA{uint8((60+60*hue)*shade + grain), uint8(110*shade + grain), uint8(70*shade + grain), 255}
				}
			}
			img.SetRGBA(x, y, c)
		}
	}
	b, err := encode(img)
	if err != nil {
		return 0, err
	}
	return 0, save(path, b)
}
