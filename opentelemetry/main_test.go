package opentelemetry

import (
	"testing"

	"concert/internal/metrics/metricstest"
)

func TestMain(m *testing.M) { metricstest.Main(m) }
