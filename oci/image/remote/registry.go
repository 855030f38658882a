package remote

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"

	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/remote/transport"
)

// registry is one repository of a registry. What it sends is checked against its digest by the library.
type registry struct {
	ctx        context.Context
	repository name.Repository
	puller     *remote.Puller
	first      *remote.Descriptor
}

func openRegistry(ctx context.Context, reference string, wanted v1.Platform) (*Image, error) {
	ref, err := name.ParseReference(reference)
	if err != nil {
		return nil, err
	}
	puller, err := remote.NewPuller(remote.WithAuthFromKeychain(authn.DefaultKeychain), remote.WithTransport(guarded{remote.DefaultTransport}))
	if err != nil {
		return nil, err
	}
	r := &registry{ctx: ctx, repository: ref.Context(), puller: puller}
	if r.first, err = puller.Get(ctx, ref); err != nil {
		return nil, r.inWords(err)
	}
	return choose(r, r.first.Descriptor, wanted)
}

func (r *registry) manifest(d v1.Descriptor) ([]byte, error) {
	if d.Digest == r.first.Digest {
		return r.first.Manifest, nil
	}
	got, err := r.puller.Get(r.ctx, r.repository.Digest(d.Digest.String()))
	if err != nil {
		return nil, r.inWords(err)
	}
	return got.Manifest, nil
}

func (r *registry) blob(d v1.Descriptor) (io.ReadCloser, error) {
	l, err := r.puller.Layer(r.ctx, r.repository.Digest(d.Digest.String()))
	if err != nil {
		return nil, r.inWords(err)
	}
	body, err := l.Compressed()
	return body, r.inWords(err)
}

// inWords says what a registry's answer means. Its own text is its author's, and is not shown.
func (r *registry) inWords(err error) error {
	host := r.repository.RegistryStr()
	var answer *transport.Error
	var request *url.Error
	switch {
	case err == nil:
		return nil
	case errors.As(err, &answer):
		switch answer.StatusCode {
		case http.StatusNotFound:
			return fmt.Errorf("the registry %s has no such image", host)
		case http.StatusUnauthorized, http.StatusForbidden:
			return fmt.Errorf("the registry %s does not show it without other credentials, or it is not there (docker login %s)", host, host)
		case http.StatusTooManyRequests:
			return fmt.Errorf("the registry %s answers no more for now: too many requests", host)
		}
		return fmt.Errorf("the registry %s answers %d %s", host, answer.StatusCode, http.StatusText(answer.StatusCode))
	case errors.As(err, &request):
		return fmt.Errorf("the registry %s cannot be reached: %w", host, request.Err)
	}
	return fmt.Errorf("the registry %s: %w", host, err)
}

// guarded sends no plain HTTP to another machine: names and credentials could be read and answers made up on the way.
// Docker, too, talks so to this machine alone unless it is told otherwise.
type guarded struct{ http.RoundTripper }

var errPlain = errors.New("plain HTTP is for registries of this machine alone")

func (g guarded) RoundTrip(r *http.Request) (*http.Response, error) {
	if host := r.URL.Hostname(); r.URL.Scheme != "https" && host != "localhost" && !net.ParseIP(host).IsLoopback() {
		return nil, errPlain
	}
	return g.RoundTripper.RoundTrip(r)
}
