// franz-go as load for the chaos test (tools/tests/chaos/other_client.rs says what is printed).
//
//	with_franz_go BOOTSTRAP TOPIC PARTITIONS GROUP FIRST_VALUE
package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
)

const (
	// Records that are given to a partition at once, and the pause when all are settled.
	burst = 3
	pause = 10 * time.Millisecond
	// A record is filled up to this.
	recordBytes = 200
	// Consumers are told apart by numbers: the members of the group, and then the reader of all.
	members = 2
	// Records that are reported together, and how long a call waits for the first.
	polledMax = 200
	pollMax   = 200 * time.Millisecond
	// How long a commit is tried.
	commitMax = 20 * time.Second
)

// What the test gives.
type arguments struct {
	bootstrap  []string
	topic      string
	partitions int32
	group      string
	firstValue int64
}

func parse(words []string) (arguments, error) {
	if len(words) != 5 {
		return arguments{}, errors.New("five arguments are needed")
	}
	partitions, err := strconv.ParseInt(words[2], 10, 32)
	if err != nil {
		return arguments{}, err
	}
	firstValue, err := strconv.ParseInt(words[4], 10, 64)
	return arguments{strings.Split(words[0], ","), words[1], int32(partitions), words[3], firstValue}, err
}

var printing sync.Mutex

func say(event string, what any) {
	line, err := json.Marshal(map[string]any{event: what})
	if err != nil {
		panic(err)
	}
	printing.Lock()
	defer printing.Unlock()
	fmt.Println(string(line))
}

// Bursts to every partition by one idempotent producer, which is the library's default.
func write(ctx context.Context, given arguments) error {
	client, err := kgo.NewClient(
		kgo.SeedBrokers(given.bootstrap...),
		kgo.RecordPartitioner(kgo.ManualPartitioner()),
		kgo.ProducerLinger(0),
	)
	if err != nil {
		return err
	}
	defer client.Close()
	var values, operations int64
	open := make([]atomic.Int32, given.partitions)
	beginAt := make([]atomic.Int64, given.partitions)
	for ctx.Err() == nil {
		now := time.Now().UnixNano()
		for partition := range given.partitions {
			if open[partition].Load() > 0 || beginAt[partition].Load() > now {
				continue
			}
			operations++
			open[partition].Store(burst)
			for range burst {
				operation, value := operations, values
				values++
				text := strconv.FormatInt(given.firstValue+value, 10)
				text += strings.Repeat(".", recordBytes-len(text))
				record := &kgo.Record{Topic: given.topic, Partition: partition, Value: []byte(text)}
				client.Produce(context.Background(), record, func(record *kgo.Record, err error) {
					settled(operation, value, record, err)
					if open[partition].Add(-1) == 0 {
						beginAt[partition].Store(time.Now().Add(pause).UnixNano())
					}
				})
			}
		}
		time.Sleep(pause / 2)
	}
	return client.Flush(context.Background())
}

func settled(operation, value int64, record *kgo.Record, err error) {
	var written any = "unknown"
	if err == nil {
		written = map[string]int64{"acknowledged": record.Offset}
	} else {
		say("complaint", err.Error())
	}
	say("sent", map[string]any{
		"operation": operation,
		"partition": record.Partition,
		"value":     value,
		"written":   written,
	})
}

// One consumer: a member of the group, or the reader of all.
func read(ctx context.Context, given arguments, number int) error {
	var placings atomic.Int64
	options := []kgo.Opt{
		kgo.SeedBrokers(given.bootstrap...),
		kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()),
	}
	if number < members {
		changed := func(context.Context, *kgo.Client, map[string][]int32) { placings.Add(1) }
		options = append(options,
			kgo.ConsumerGroup(given.group), kgo.ConsumeTopics(given.topic),
			kgo.DisableAutoCommit(),
			// Partitions change between calls, not between a call and the commit of what it gave.
			kgo.BlockRebalanceOnPoll(),
			kgo.SessionTimeout(6*time.Second), kgo.HeartbeatInterval(time.Second),
			kgo.OnPartitionsAssigned(changed), kgo.OnPartitionsRevoked(changed), kgo.OnPartitionsLost(changed),
		)
	} else {
		every := make(map[int32]kgo.Offset)
		for partition := range given.partitions {
			every[partition] = kgo.NewOffset().AtStart()
		}
		options = append(options, kgo.ConsumePartitions(map[string]map[int32]kgo.Offset{given.topic: every}))
	}
	client, err := kgo.NewClient(options...)
	if err != nil {
		return err
	}
	defer client.CloseAllowingRebalance()
	begun := make(map[int32]int64)
	for ctx.Err() == nil {
		polling, cancel := context.WithTimeout(ctx, pollMax)
		fetches := client.PollRecords(polling, polledMax)
		cancel()
		fetches.EachError(func(_ string, _ int32, err error) {
			if !errors.Is(err, context.DeadlineExceeded) && !errors.Is(err, context.Canceled) {
				say("complaint", err.Error())
			}
		})
		placing := placings.Load()
		if records := fetches.Records(); len(records) > 0 {
			report(number, placing, records)
			if number < members {
				commit(client, []int64{int64(number), placing}, begun, records)
			}
		}
		client.AllowRebalance()
	}
	return nil
}

func report(number int, placing int64, records []*kgo.Record) {
	var told [][]any
	for _, record := range records {
		told = append(told, []any{record.Partition, record.Offset, string(record.Value)})
	}
	say("polled", map[string]any{"consumer": number, "placing": placing, "records": told})
}

func commit(client *kgo.Client, member []int64, begun map[int32]int64, records []*kgo.Record) {
	following := make(map[int32]int64)
	for _, record := range records {
		if placing, known := begun[record.Partition]; !known || placing != member[1] {
			begun[record.Partition] = member[1]
			say("began", place(member, record.Partition, record.Offset))
		}
		following[record.Partition] = record.Offset + 1
	}
	committing, cancel := context.WithTimeout(context.Background(), commitMax)
	defer cancel()
	if err := client.CommitRecords(committing, records...); err != nil {
		say("complaint", "commit: "+err.Error())
		return
	}
	for partition, offset := range following {
		say("committed", place(member, partition, offset))
	}
}

func place(member []int64, partition int32, offset int64) map[string]any {
	return map[string]any{"member": member, "partition": partition, "offset": offset}
}

func run() error {
	given, err := parse(os.Args[1:])
	if err != nil {
		return err
	}
	ctx, cancel := context.WithCancelCause(context.Background())
	work := []func() error{func() error { return write(ctx, given) }}
	for number := range members + 1 {
		work = append(work, func() error { return read(ctx, given, number) })
	}
	var all sync.WaitGroup
	for _, one := range work {
		all.Go(func() {
			if err := one(); err != nil {
				cancel(err)
			}
		})
	}
	go func() {
		_, err := io.Copy(io.Discard, os.Stdin)
		cancel(err)
	}()
	all.Wait()
	if cause := context.Cause(ctx); !errors.Is(cause, context.Canceled) {
		return cause
	}
	return nil
}

func main() {
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}
