"""The definition table: every number that is known of a candidate, in the order in which it is stored and learned from."""

import hashlib
from typing import NamedTuple


class Feature(NamedTuple):
    """One column of the feature matrix."""

    name: str
    about: str
    shared: bool = False  # the same for all candidates of a request: it is about the user, the moment or the app


FEATURES: tuple[Feature, ...] = (
    # everybody
    Feature("app_click_rate", "share of all outcomes that were watches", shared=True),
    Feature("app_long_view_rate", "share of all outcomes that were long views", shared=True),
    Feature("app_like_rate", "likes per outcome, over everything", shared=True),
    # the user
    Feature("user_outcomes", "log1p of watches and skips by this user so far", shared=True),
    Feature("user_click_rate", "share of this user's last outcomes, up to 12 hours ago, that were watches, smoothed towards everybody's", shared=True),
    Feature("user_long_view_rate", "the same for long views", shared=True),
    Feature("user_like_rate", "the same for likes per outcome", shared=True),
    # the video, and behind it its author and the whole app as priors
    Feature("video_outcomes", "log1p of watches and skips of this video so far"),
    Feature("video_click_rate", "share of this video's outcomes that were watches, smoothed towards its author's"),
    Feature("video_long_view_rate", "share of this video's outcomes that were long views, smoothed towards its author's"),
    Feature("video_like_rate", "likes per outcome of this video, smoothed towards its author's"),
    Feature("video_long_view_rate_1d", "long view rate of the last day, smoothed towards the one above"),
    Feature("video_completion_rate", "share of outcomes that reached the end, smoothed"),
    Feature("video_outcomes_1d", "log1p of watches and skips of the last day"),
    Feature("video_impressions_1h", "log1p of impressions in the last hour"),
    Feature("video_velocity", "log2 of the pace of its outcomes now against lately (half-lives of 5 minutes and 6 hours, shrunk)"),
    Feature("author_long_view_rate", "long view rate of the author, smoothed towards everybody's"),
    Feature("tag_long_view_rate", "mean long view rate of the video's tags, smoothed towards everybody's"),
    Feature("sound_long_view_rate", "long view rate of the sound, smoothed towards everybody's"),
    Feature("duration", "log1p of the duration in seconds"),
    Feature("age", "log1p of the hours since the upload"),
    # the two together
    Feature("taste_tag", "how this user's outcomes with the video's tags differ from the user's average, decayed and shrunk"),
    Feature("taste_author", "the same for the author"),
    Feature("taste_sound", "the same for the sound"),
    Feature("taste_duration", "the same for videos of about this length"),
    Feature("co_watch", "how strongly this user's watches speak for the video, by linear item-to-item weights"),
    # the moment
    Feature("local_hour", "hour of the day where the user is, -1 where unknown", shared=True),
    Feature("bandwidth", "log1p of the kilobits per second, 0 where unknown", shared=True),
    Feature("local_weekday", "day of the week where the user is, 0 Monday to 6 Sunday; that of UTC where unknown", shared=True),
    Feature("device", "class of the device: 0 unknown, 1 phone, 2 tablet, 3 desktop, 4 TV", shared=True),
    Feature("network", "class of the network: 0 unknown, 1 other, 2 2G, 3 3G, 4 4G, 5 5G, 6 Wi-Fi or cable", shared=True),
    # the picture
    Feature("user_stalls", "share of the playing time that this user waited for data, smoothed towards everybody's", shared=True),
    Feature("video_stalls", "the same for the video"),
    Feature("user_height", "mean height of the picture in this user's last 20 watches, in thousands of pixels, 0 where unknown", shared=True),
    Feature("video_height", "height of the video's best rendition in thousands of pixels, 0 without files"),
    Feature("rendition_fit", "log2 of the bandwidth, headroom kept, against what the video's best rendition takes; 0 where unknown"),
    # the place
    Feature("same_place", "1 for a video from where the user is, else 0"),
    Feature("user_place_share", "share of this user's last watches that were of videos from the video's place, shrunk; 0 for one from nowhere"),
    Feature("place_outcomes", "log1p of watches and skips of this video where the user is"),
    Feature("place_long_view_rate", "long view rate of this video where the user is, smoothed towards everywhere's"),
    Feature("place_velocity", "the velocity of the video where the user is"),
    # the visit, and habits
    Feature("visit_depth", "log1p of watches and skips in this visit so far; half an hour without one ends a visit", shared=True),
    Feature("idle", "log1p of the seconds since the user's last watch or skip, -1 before the first", shared=True),
    Feature("hour_share", "share of this user's last outcomes, up to 12 hours ago, that were within two hours of this time of the day", shared=True),
    Feature("hour_long_view_rate", "share of those that were long views, smoothed towards the user's", shared=True),
    # what the video rides on
    Feature("tag_velocity", "the velocity of the fastest of the video's tags"),
    Feature("sound_velocity", "the velocity of the sound"),
    # habits; of a user's own outcomes those up to 12 hours ago, a base history left out: it has no times
    Feature(
        "user_timed_click_rate",
        "share of this user's last outcomes of known time, up to 12 hours ago, that were watches, smoothed towards everybody's",
        shared=True,
    ),
    Feature("user_timed_long_view_rate", "the same for long views", shared=True),
    Feature("user_watch_ratio", "how often its duration a video was watched for in these, on average, at most 3 each, smoothed towards 0.5", shared=True),
    Feature("previous_same_author", "1 if the last video was by the same author, else 0"),
    Feature("previous_same_tag", "1 if the last video shares a tag with this one, else 0"),
    Feature("previous_same_surface", "1 if the last video was left on the surface where the user is, else 0"),
    Feature("since_served", "log1p of the seconds since this user was given the last slate, -1 before the first", shared=True),
    Feature("served_10min", "log1p of the videos put into slates for this user in the last 10 minutes, 64 at most", shared=True),
    Feature("history_watches", "log1p of the watches in this user's base history", shared=True),
    Feature("history_long_view_share", "share of these that were long, smoothed towards everybody's long view rate", shared=True),
    # the surface: where in the app the user is
    Feature("user_surface_outcomes", "log1p of this user's last outcomes of known time, up to 12 hours ago, on this surface", shared=True),
    Feature("user_surface_click_rate", "share of these that were watches, smoothed towards the user's", shared=True),
    Feature("user_surface_long_view_rate", "share of these that were long views, smoothed towards the user's", shared=True),
    Feature("user_surface_watch_ratio", "how often its duration a video was watched for in these, on average, smoothed towards the user's", shared=True),
    Feature("user_length_outcomes", "log1p of the same with videos of about this length"),
    Feature("user_length_click_rate", "share of these that were watches, smoothed towards the user's"),
    Feature("user_length_long_view_rate", "share of these that were long views, smoothed towards the user's"),
    Feature("user_length_watch_ratio", "how often its duration a video was watched for in these, on average, smoothed towards the user's"),
    Feature("surface_click_rate", "share of the outcomes on this surface that were watches, smoothed towards everybody's", shared=True),
    Feature("surface_long_view_rate", "the same for long views", shared=True),
    Feature("surface_click_rate_1d", "click rate of the surface in the last day, smoothed towards the one of all time", shared=True),
    Feature("surface_long_view_rate_1d", "the same for long views", shared=True),
    Feature("surface_length_click_rate", "click rate of videos of about this length on this surface, smoothed towards the surface's"),
    Feature("surface_length_long_view_rate", "the same for long views"),
    Feature(
        "surface_length_watch_ratio",
        "watching time over the video's duration, on average on this surface with videos of about this length, smoothed towards 0.5",
    ),
    Feature("video_surface_outcomes", "log1p of watches and skips of this video on this surface"),
    Feature("video_surface_click_rate", "click rate of the video on this surface, smoothed towards anywhere's"),
    Feature("video_surface_long_view_rate", "the same for long views"),
    Feature("video_surface_watch_ratio", "how often its duration the video was watched for on this surface, on average, smoothed towards anywhere's"),
    # the video and its author, closer
    Feature("video_click_rate_1d", "click rate of the video in the last day, smoothed towards the one of all time"),
    Feature("video_click_rate_1h", "click rate of the video in the last hour, smoothed towards the day's"),
    Feature("video_long_view_rate_1h", "the same for long views"),
    Feature(
        "video_watch_ratio",
        "how often its duration the video was watched for in the last 7 days, on average, smoothed towards that of its length on this surface",
    ),
    Feature("author_click_rate", "click rate of the author, smoothed towards everybody's"),
)
COLUMN: dict[str, int] = {feature.name: place for place, feature in enumerate(FEATURES)}
WIDTH = len(FEATURES)
SHARED = tuple(place for place, feature in enumerate(FEATURES) if feature.shared)  # columns
FEATURES_VERSION = hashlib.blake2b("\0".join(COLUMN).encode(), digest_size=6).hexdigest()  # changes with any name or their order
