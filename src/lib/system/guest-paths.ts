/**
 * Shell functions, for bash and busybox's sh alike, that find where a path of the guest leads, as its own symbolic links say:
 * the image is at `$root`, and `$tmp` is not empty where /tmp is not the image's. What they make for a mount they tell to
 * `remember PATH`, which whoever uses them defines.
 */
export const GUEST_PATHS = `
# Whether a path is on what is mounted over the image.
is_ours() {
  case $1 in
  /dev | /dev/* | /proc | /proc/* | /run | /run/*) ;;
  /tmp | /tmp/*) [ -n "$tmp" ] ;;
  *) return 1 ;;
  esac
}

# Sets found to where a path of the guest leads. False when a directory on the way is none, or is missing and not to be made.
resolve() {
  local rest=$1 deep=$2 part= link= hops=0 newline='
'
  found=
  while [ -n "$rest" ]; do
    part=\${rest%%/*}
    case $rest in
    */*) rest=\${rest#*/} ;;
    *) rest= ;;
    esac
    case $part in
    '' | .) continue ;;
    ..)
      found=\${found%/*}
      continue
      ;;
    esac
    if is_ours "$found/$part"; then
      found=$found/$part
      continue
    fi
    if [ -L "$root$found/$part" ]; then
      hops=$((hops + 1))
      [ "$hops" -le 40 ] || return 1
      link=$(readlink -- "$root$found/$part" && echo .)
      link=\${link%"$newline".}
      case $link in /*) found= ;; esac
      rest=$link/$rest
    elif [ -d "$root$found" ]; then
      found=$found/$part
      case $deep:$rest in
      yes:*[!/]*)
        if [ ! -e "$root$found" ]; then
          mkdir -- "$root$found" 2>/dev/null || return 1
          remember "$root$found"
        fi
        ;;
      esac
    else
      return 1
    fi
  done
  [ -n "$found" ]
}
`;
