package httpapi

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"

	"github.com/google/uuid"

	"github.com/msgorch/msgorch/internal/fault"
	"github.com/msgorch/msgorch/outbox"
	"github.com/msgorch/msgorch/tasks"
)

const maxBatch = 1000

// batchInput has no Body: huma would refuse all messages because of one.
type batchInput struct {
	IdempotencyKey string `header:"Idempotency-Key" maxLength:"240" doc:"Names this batch: each message is named by it and by its place"`
	RawBody        []byte `contentType:"application/json"`
}

// batchBody documents what RawBody holds.
type batchBody struct {
	Messages []sendBody `json:"messages" minItems:"1" maxItems:"1000" doc:"As for a message alone"`
}

type batchOutput struct {
	Body struct {
		Results []batchResult `json:"results" doc:"One for each message, in the order given"`
	}
}

// batchResult has either an id or an error.
type batchResult struct {
	ID    *uuid.UUID  `json:"id,omitempty"`
	Error *batchError `json:"error,omitempty"`
}

type batchError struct {
	Code    string `json:"code" doc:"As a problem's code"`
	Message string `json:"message"`
}

func (s *server) sendBatch(ctx context.Context, in *batchInput) (*batchOutput, error) {
	raw, err := splitBatch(in.RawBody)
	if err != nil {
		return nil, s.fail(ctx, "body", err)
	}
	out := &batchOutput{}
	out.Body.Results = make([]batchResult, len(raw))
	var messages []tasks.SendMessage
	var at []int
	for i, item := range raw {
		key := in.IdempotencyKey
		if key != "" {
			key = fmt.Sprintf("%s:%d", key, i)
		}
		m, err := batchMessage(ctx, item, key)
		if err != nil {
			out.Body.Results[i] = refused(err)
			continue
		}
		messages, at = append(messages, m), append(at, i)
	}
	results, err := s.Outbox.AcceptAll(ctx, messages)
	if err != nil {
		return nil, s.fail(ctx, "body", err)
	}
	for n, r := range results {
		out.Body.Results[at[n]] = resultOf(r)
	}
	return out, nil
}

// splitBatch takes the messages of a batch apart, each to be judged alone.
func splitBatch(body []byte) ([]json.RawMessage, error) {
	var batch struct {
		Messages []json.RawMessage `json:"messages"`
	}
	dec := json.NewDecoder(bytes.NewReader(body))
	dec.DisallowUnknownFields()
	if err := dec.Decode(&batch); err != nil || dec.More() {
		return nil, fault.New(fault.Invalid, "invalid_batch", `The body must be {"messages":[…]}.`).At("messages")
	}
	if n := len(batch.Messages); n == 0 || n > maxBatch {
		return nil, fault.New(fault.Invalid, "invalid_batch", "A batch has 1 to 1000 messages.").At("messages")
	}
	return batch.Messages, nil
}

// batchMessage reads one message as the route for one message would.
func batchMessage(ctx context.Context, raw json.RawMessage, key string) (tasks.SendMessage, error) {
	var body sendBody
	dec := json.NewDecoder(bytes.NewReader(raw))
	dec.DisallowUnknownFields()
	if err := dec.Decode(&body); err != nil {
		return tasks.SendMessage{}, fault.New(fault.Invalid, "invalid_request", "The message has an unknown field, or one of the wrong type.")
	}
	if err := body.check(raw); err != nil {
		return tasks.SendMessage{}, err
	}
	return body.message(key), reach(ctx, body.Instance)
}

func resultOf(r outbox.Result) batchResult {
	if r.Err != nil {
		return refused(r.Err)
	}
	return batchResult{ID: &r.Receipt.ID}
}

func refused(err error) batchResult {
	f := fault.Of(err)
	return batchResult{Error: &batchError{Code: f.Code, Message: f.Detail}}
}
