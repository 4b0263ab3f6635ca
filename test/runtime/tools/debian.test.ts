import { describe, expect, test } from 'vitest';
import { distributionOf, mirrorOf } from '#runtime/tools/debian.mjs';

describe('the mirror', () => {
  test('is the one that a .list file names', () => {
    const list = '# comment\ndeb [arch=amd64] http://mirror.example/debian bookworm main\n';
    expect(mirrorOf([list], 'debian')).toBe('http://mirror.example/debian');
  });

  test('is the one that a .sources file names, and not the security archive', () => {
    const sources = [
      'Types: deb\nURIs: http://mirror.example/debian-security\nSuites: bookworm-security\n',
      'Types: deb\n# URIs: http://old.example/debian\nURIs: https://mirror.example/debian/\n',
    ];
    expect(mirrorOf(sources, 'debian')).toBe('https://mirror.example/debian');
  });

  test('of another distribution, or of another vendor, does not count', () => {
    expect(mirrorOf(['deb https://packages.example/node nodistro main'], 'debian')).toBe(undefined);
    expect(mirrorOf(['deb http://mirror.example/debian sid main'], 'ubuntu')).toBe(undefined);
    expect(mirrorOf(['deb file:/srv/debian sid main'], 'debian')).toBe(undefined);
    const ubuntu = 'deb http://archive.example/ubuntu noble main universe';
    expect(mirrorOf([ubuntu], 'ubuntu')).toBe('http://archive.example/ubuntu');
  });
});

test('the distribution is read from os-release', () => {
  expect(distributionOf('NAME="Debian GNU/Linux"\nID=debian\n')).toBe('debian');
  expect(distributionOf('ID="ubuntu"\nID_LIKE=debian\n')).toBe('ubuntu');
  expect(distributionOf('ID=alpine\n')).toBe(undefined);
});
