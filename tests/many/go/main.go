// Writes its own keys and increments what all share: many KUBECONFIG NAMESPACE ID KEYS CACHE.
package main

import (
	"context"
	"fmt"
	"log"
	"os"
	"strconv"
	"time"

	"mapstore"
)

func main() {
	if err := work(context.Background(), os.Args[1:]); err != nil {
		log.Fatal(err)
	}
}

func work(ctx context.Context, args []string) error {
	cache := mapstore.CacheNone
	if args[4] == "exclusive" {
		cache = mapstore.CacheExclusive
	}
	store, err := mapstore.Open(ctx, "many", mapstore.WithKubeconfig(args[0]), mapstore.WithNamespace(args[1]),
		mapstore.WithCache(cache), mapstore.WithTimeout(2*time.Minute))
	if err != nil {
		return err
	}
	defer store.Close()
	keys, err := strconv.Atoi(args[3])
	if err != nil {
		return err
	}
	for number := range keys {
		key, value := fmt.Sprintf("p%s-%d", args[2], number), fmt.Sprintf("%s.%d", args[2], number)
		if _, err := store.Set(ctx, key, []byte(value)); err != nil {
			return err
		}
		if number%5 > 0 {
			continue
		}
		_, err := store.Update(ctx, "counter", func(old []byte, present bool) ([]byte, error) {
			if !present {
				return []byte("1"), nil
			}
			count, err := strconv.Atoi(string(old))
			return []byte(strconv.Itoa(count + 1)), err
		})
		if err != nil {
			return err
		}
	}
	return nil
}
