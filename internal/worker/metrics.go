package worker

import (
	"context"
	"time"

	"github.com/hibiken/asynq"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/msgorch/msgorch/internal/fault"
)

// Metrics counts what a worker does. Make it with NewMetrics.
type Metrics struct {
	tasks    *prometheus.HistogramVec
	attempts *prometheus.CounterVec
	swept    *prometheus.CounterVec
	overdue  *prometheus.CounterVec
	gaps     *prometheus.CounterVec
}

// NewMetrics registers a worker's metrics.
func NewMetrics(reg prometheus.Registerer) *Metrics {
	m := &Metrics{
		tasks: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "msgorch_task_duration_seconds", Help: "Time that handlers took, by task and result.",
			Buckets: []float64{.001, .005, .02, .1, .5, 2, 10, 60},
		}, []string{"task", "result"}),
		attempts: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "msgorch_attempts_total", Help: "Messages handed to a gateway, by what came of it.",
		}, []string{"outcome"}),
		swept: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "msgorch_relay_rows_total", Help: "Rows that the relay put right, by kind.",
		}, []string{"kind"}),
		overdue: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "msgorch_ack_overdue_total", Help: "Messages that a gateway took and then said nothing more of, by instance.",
		}, []string{"instance"}),
		gaps: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "msgorch_gap_messages_total", Help: "Messages that no webhook had told of, found in a gateway's records, by instance.",
		}, []string{"instance"}),
	}
	reg.MustRegister(m.tasks, m.attempts, m.swept, m.overdue, m.gaps)
	return m
}

// Overdue counts messages of which a gateway said nothing for too long.
func (m *Metrics) Overdue(instance string, messages int) {
	m.overdue.WithLabelValues(instance).Add(float64(messages))
}

// Gap counts messages that no webhook had told of.
func (m *Metrics) Gap(instance string, messages int64) {
	m.gaps.WithLabelValues(instance).Add(float64(messages))
}

// Attempted counts one try of sending.
func (m *Metrics) Attempted(outcome string) { m.attempts.WithLabelValues(outcome).Inc() }

func (m *Metrics) observe(next asynq.Handler) asynq.Handler {
	return asynq.HandlerFunc(func(ctx context.Context, t *asynq.Task) error {
		start := time.Now()
		err := next.ProcessTask(ctx, t)
		result := "ok"
		if err != nil {
			result = "retry"
			if fault.Of(err).Kind.Final() {
				result = "archived"
			}
		}
		m.tasks.WithLabelValues(t.Type(), result).Observe(time.Since(start).Seconds())
		return err
	})
}
