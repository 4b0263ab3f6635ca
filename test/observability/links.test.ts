import { describe, expect, test } from 'vitest';
import { searchLink, traceLink } from '#observability/links.ts';

const TRACE = '2dab38477d2a9d04b479abc9c5e58019';
const SPAN = '1017f8885c5e442d';

describe('a link to a trace', () => {
  test('opens the trace at one span', () => {
    expect(traceLink('http://127.0.0.1:16686', { traceId: TRACE, spanId: SPAN })).toBe(
      `http://127.0.0.1:16686/trace/${TRACE}?uiFind=${SPAN}`,
    );
    expect(traceLink('http://127.0.0.1:16686', { traceId: TRACE })).toBe(
      `http://127.0.0.1:16686/trace/${TRACE}`,
    );
  });

  test.each([
    ['https://traces.example/jaeger', 'https://traces.example/jaeger/trace/'],
    ['https://traces.example/jaeger/', 'https://traces.example/jaeger/trace/'],
    ['http://127.0.0.1:16686/?old=1#top', 'http://127.0.0.1:16686/trace/'],
  ])('keeps the prefix of %s and nothing behind it', (base, start) => {
    expect(traceLink(base, { traceId: TRACE, spanId: SPAN })).toBe(
      `${start}${TRACE}?uiFind=${SPAN}`,
    );
  });

  test.each([
    { traceId: `../search?${TRACE}` },
    { traceId: TRACE.toUpperCase() },
    { traceId: TRACE, spanId: 'x' },
    { traceId: TRACE, spanId: `${SPAN}&x=1` },
  ])('is not made of what is no id: %o', (place) => {
    expect(() => traceLink('http://127.0.0.1:16686', place)).toThrow('no ');
  });
});

describe('a link to a search', () => {
  test('names the service and one tag with its value, as JSON in one parameter', () => {
    const link = searchLink('http://127.0.0.1:16686', {
      service: 'action',
      tags: { 'spiffe.id': 'spiffe://city.example/agent/action/north/action-1' },
    });
    expect(link).toBe(
      'http://127.0.0.1:16686/search?service=action&tags=%7B%22spiffe.id%22%3A%22spiffe%3A%2F%2Fcity.example%2Fagent%2Faction%2Fnorth%2Faction-1%22%7D&lookback=1h',
    );
  });

  test('lets nothing in a value end its parameter', () => {
    const value = '"}&service=other#"';
    const url = new URL(
      searchLink('http://127.0.0.1:16686/x', { service: 'a&b', tags: { t: value } }),
    );
    expect(url.searchParams.getAll('service')).toEqual(['a&b']);
    expect(JSON.parse(url.searchParams.get('tags') ?? '')).toEqual({ t: value });
    expect(url.hash).toBe('');
  });
});
