// Sets keys by reading and writing the whole map, as github.com/unrolled/mapstore does, one set at a time in the
// process: clientgo KUBECONFIG NAMESPACE NAME HOW GOROUTINES SECONDS ID.
//
// HOW is ggp (without its cache: GET to compare, GET, PUT) or gp (with its cache: GET, PUT), both in JSON, which is
// what that package's client-go speaks, and with client-go's rate limit removed; with -protobuf in today's client-go's
// encoding; with -shipped as that package is, with the rate limit.
package main

import (
	"bytes"
	"context"
	"log"
	"os"
	"strings"
	"sync"

	"bench/measure"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/kubernetes"
	typed "k8s.io/client-go/kubernetes/typed/core/v1"
	"k8s.io/client-go/tools/clientcmd"
)

type store struct {
	mutex sync.Mutex
	maps  typed.ConfigMapInterface
	name  string
	// nil: without a cache.
	cache map[string][]byte
}

func main() {
	if err := run(os.Args[1:]); err != nil {
		log.Fatal(err)
	}
}

func run(args []string) error {
	config, err := clientcmd.BuildConfigFromFlags("", args[0])
	if err != nil {
		return err
	}
	if !strings.HasSuffix(args[3], "-shipped") {
		config.QPS = -1
	}
	if !strings.HasSuffix(args[3], "-protobuf") {
		config.ContentType, config.AcceptContentTypes = runtime.ContentTypeJSON, runtime.ContentTypeJSON
	}
	client, err := kubernetes.NewForConfig(config)
	if err != nil {
		return err
	}
	s := &store{maps: client.CoreV1().ConfigMaps(args[1]), name: args[2]}
	if strings.HasPrefix(args[3], "gp") {
		current, err := s.get()
		if err != nil {
			return err
		}
		s.cache = current.BinaryData
	}
	return measure.Run(s.set, args[4:])
}

func (s *store) get() (*corev1.ConfigMap, error) {
	return s.maps.Get(context.Background(), s.name, metav1.GetOptions{})
}

func (s *store) set(key string, value []byte) error {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	values := s.cache
	if values == nil {
		current, err := s.get()
		if err != nil {
			return err
		}
		values = current.BinaryData
	}
	if old, present := values[key]; present && bytes.Equal(old, value) {
		return nil
	}
	values[key] = value
	current, err := s.get()
	if err != nil {
		return err
	}
	current.BinaryData = values
	_, err = s.maps.Update(context.Background(), current, metav1.UpdateOptions{})
	return err
}
